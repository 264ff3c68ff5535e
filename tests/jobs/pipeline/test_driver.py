import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rich.console import Console

from jobs.pipeline.driver import Finisher
from jobs.pipeline.progress import Progress
from jobs.pipeline.stages.stitch import merge


def section(track: str, index: int, count: int, **more: Any) -> dict[str, Any]:
    stem = {"stem": "bass", "infer_s": 1.5, "chunks": 2, "provider": "CPU"}
    row = {
        "track_id": track,
        "section": index,
        "sections": count,
        "status": "ok",
        "chunks": 2,
        "stems": [stem],
    }
    return row | {"decode_s": 1.0, "stitch_s": 0.5, "write_s": 0.25, "upload_s": 0.125} | more


def test_a_track_is_finished_once_it_has_all_its_sections() -> None:
    with ThreadPoolExecutor(1) as pool:
        finisher = Finisher(pool, merge)
        finisher.add(section("a", 1, 2))
        finisher.add(section("b", 0, 2))
        assert finisher.rest() == []
        finisher.add(section("a", 0, 2))
        (row,) = finisher.rest()
    assert row["track_id"] == "a"
    assert (row["chunks"], row["decode_s"], row["write_s"], row["upload_s"]) == (4, 2.0, 0.5, 0.25)
    assert row["stems"] == [{"stem": "bass", "infer_s": 3.0, "chunks": 4, "provider": "CPU"}]


def test_one_section_in_error_is_the_tracks_error() -> None:
    bad = {"status": "error", "error_kind": "corrupt", "error": "why", "stems": None, "decode_s": None}
    row = merge([section("a", 0, 3), section("a", 2, 3), section("a", 1, 3, **bad)])
    assert (row["status"], row["error_kind"], row["error"]) == ("error", "corrupt", "why")


def test_what_stops_a_finish_stops_the_run() -> None:
    def fail(rows: list[dict[str, Any]]) -> dict[str, Any]:
        raise OSError("no store")

    with ThreadPoolExecutor(1) as pool:
        finisher = Finisher(pool, fail)
        finisher.add(section("a", 0, 1))
        with pytest.raises(OSError, match="no store"):
            finisher.rest()


def test_the_log_counts_what_is_done_and_failed() -> None:
    log = io.StringIO()
    with Progress(3, Console(file=log)) as progress:
        progress.add({"status": "ok", "length": 44_100 * 1800})
        progress.add({"status": "error"})
    assert "tracks done 1 of 3  left 1  failed 1  audio 0.50 h" in log.getvalue()
