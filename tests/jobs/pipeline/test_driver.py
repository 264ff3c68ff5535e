import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from rich.console import Console

from jobs.pipeline.driver import Finisher
from jobs.pipeline.progress import Progress
from jobs.pipeline.records import (
    Failure,
    FinishedSection,
    FinishedTrack,
    InferenceRun,
    StemResult,
    Track,
    TrackSection,
    Work,
    merge,
)
from separation.errors import ErrorKind


def section(track_id: str, index: int, count: int, failure: Failure | None = None) -> FinishedSection:
    track = Track(track_id, track_id, failure, (), None, None, None, None, datetime.now(UTC))
    work = Work(1.0, 0.5, 0.25, 0.125, stems=(StemResult("bass", chunks=2, run=run(1.5)),))
    return FinishedSection(TrackSection(track, index, count, 2), Work() if failure else work)


def run(infer_s: float) -> InferenceRun:
    return InferenceRun(infer_s, 0.0, infer_s, None, None, "CPU", None, None)


def test_a_track_is_finished_once_it_has_all_its_sections() -> None:
    with ThreadPoolExecutor(1) as pool:
        finisher = Finisher(pool, merge)
        finisher.add(section("a", 1, 2))
        finisher.add(section("b", 0, 2))
        assert finisher.rest() == []
        finisher.add(section("a", 0, 2))
        (finished,) = finisher.rest()
    work = finished.work
    assert (finished.track.track_id, finished.sections) == ("a", 2)
    assert (finished.chunks, work.decode_s, work.write_s, work.upload_s) == (4, 2.0, 0.5, 0.25)
    assert work.stems == (StemResult("bass", chunks=4, run=run(3.0)),)


def test_one_section_in_error_is_the_tracks_error() -> None:
    bad = Failure(ErrorKind.CORRUPT, "why")
    finished = merge([section("a", 0, 3), section("a", 2, 3), section("a", 1, 3, bad)])
    assert (finished.track.status, finished.track.failure) == ("error", bad)


def test_what_stops_a_finish_stops_the_run() -> None:
    def fail(sections: Sequence[FinishedSection]) -> FinishedTrack:
        raise OSError("no store")

    with ThreadPoolExecutor(1) as pool:
        finisher = Finisher(pool, fail)
        finisher.add(section("a", 0, 1))
        with pytest.raises(OSError, match="no store"):
            finisher.rest()


def test_the_log_counts_what_is_done_and_failed() -> None:
    log = io.StringIO()
    with Progress(3, Console(file=log)) as progress:
        progress.add(1800.0)
        progress.add(None)
    assert "tracks done 1 of 3  left 1  failed 1  audio 0.50 h" in log.getvalue()
