import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from jobs.pipeline.arrow import to_table
from jobs.pipeline.catalogue.reading import Catalogue
from jobs.pipeline.driver import Finisher, SourcesUnreachable, run
from jobs.pipeline.job import Job
from jobs.pipeline.output.lease import Lease
from jobs.pipeline.output.run_record import read as read_record
from jobs.pipeline.output.tables import read_table
from jobs.pipeline.progress import Counts, Events, Live, Progress
from jobs.pipeline.records import (
    UNREACHABLE,
    Failure,
    FinishedSection,
    FinishedTrack,
    InferenceRun,
    ListedTrack,
    StemResult,
    Track,
    TrackSection,
    Work,
    merge,
)
from jobs.pipeline.sizing import JobPlan
from jobs.separate.run import work_through
from separation.console import LineConsole
from separation.errors import ErrorKind
from separation.models.bag_json import read_bag
from separation.options import Options
from tests.bags import write_gain_bag
from tests.stores import STORE


def section(track_id: str, index: int, count: int, failure: Failure | None = None) -> FinishedSection:
    track = Track(track_id, track_id, failure, (), None, None, None, None, datetime.now(UTC))
    work = Work(1.0, 0.5, 0.25, 0.125, stems=(StemResult("bass", chunks=2, run=inference(1.5)),))
    return FinishedSection(TrackSection(track, index, count, 2), Work() if failure else work)


def inference(infer_s: float) -> InferenceRun:
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
    assert work.stems == (StemResult("bass", chunks=4, run=inference(3.0)),)


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


@dataclass
class Finished:
    """A pipeline that has these sections."""

    left: list[FinishedSection]

    def sections(self, tracks: pa.Table) -> Iterator[FinishedSection]:
        return iter(self.left)

    def finish(self, sections: Sequence[FinishedSection]) -> FinishedTrack:
        return merge(sections)

    def live(self) -> Live:
        return Live()


def test_a_track_whose_source_cannot_be_reached_gets_no_row_and_its_host_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far, near = Failure(UNREACHABLE, "503, busy (3 tries in 1 s)"), Failure(ErrorKind.CORRUPT, "why")
    later, other = (Failure(UNREACHABLE, f"{why} (4 tries in 60 s)") for why in ("503, busy", "416"))
    uris = ["http://far/a", "http://far/b", "http://far/b", "s3://near/c", "s3://other/d", "http://far/e"]
    whole = [
        section(uris[0], 0, 1, far),
        section(uris[1], 0, 2),
        section(uris[2], 1, 2, later),
        section(uris[3], 0, 1, near),
        section(uris[4], 0, 1, far),
        section(uris[5], 0, 1, other),
    ]
    job = job_at(tmp_path)
    tracks = to_table([ListedTrack(uri, uri) for uri in dict.fromkeys(uris)], ListedTrack)
    log, checked = io.StringIO(), list[int]()
    counts = run(tracks, job, Events(LineConsole(file=log)), Finished(whole), lambda: checked.append(1))
    assert (counts.left, counts.failed, counts.unreachable) == (0, 1, {"http://far": 3, "s3://other": 1})
    assert counts.totals() == {"total": 5, "done": 0, "failed": 1, "pending": 4, "left": 0, "audio_s": 0}
    assert read_table(job.output, "tracks", STORE)["track_id"].to_pylist() == ["s3://near/c"]
    said = [line for line in log.getvalue().splitlines() if line.startswith("http://far")]
    assert said == [
        "http://far/a cannot be read: 503, busy (3 tries in 1 s); it stays pending",
        "http://far/e cannot be read: 416 (4 tries in 60 s); it stays pending",
    ]
    assert len(checked) >= 3  # a run that lost its lease goes no further, even if there is nothing to write

    def same_again(*arguments: object, **more: Any) -> None:
        vars(more["counts"]).update(vars(counts))

    monkeypatch.setattr("jobs.separate.run.run", same_again)
    monkeypatch.setattr("jobs.pipeline.dataset.cluster_nodes", list)
    again = SimpleNamespace(force=False, retry_errors=False)
    request = SimpleNamespace(for_tracks=lambda job, tracks: job)
    words = r"4 sources could not be reached: 3 at http://far, 1 at s3://other; run again"
    with Lease(job.output, job.run_id, STORE) as lease, pytest.raises(SourcesUnreachable, match=words):
        work_through(Catalogue(tracks), again, request, job, lease, Events(LineConsole(file=log)))  # type: ignore[arg-type]
    record = read_record(job.output, STORE)
    assert record and record.totals == counts.totals()
    assert (record.state, record.exit_code) == ("stopped", 2)
    assert record.reason and record.reason.startswith("4 sources could not be reached")


def test_the_hosts_with_the_most_tracks_are_named() -> None:
    error = SourcesUnreachable({f"http://{number:02}": number for number in range(1, 13)})
    named = ", ".join(f"{number} at http://{number:02}" for number in range(12, 2, -1))
    assert str(error) == f"78 sources could not be reached: {named} and 2 other hosts; run again"


def job_at(folder: Path) -> Job:
    plan = JobPlan("cpu", 1, 1, 1.0, 0.0, 1, 1, 2, 2, 2, 2**22)
    bag = read_bag(str(write_gain_bag(folder / "models")), STORE)
    return Job("run", str(folder / "out"), bag, Options(), plan, str(folder / "cache"), 10**9, 0.0, STORE)


def test_the_log_counts_what_is_done_and_failed() -> None:
    log = io.StringIO()
    with Progress(Counts(3), Events(LineConsole(file=log))) as progress:
        progress.add(1800.0)
        progress.add(None)
    assert "tracks done 1 of 3  left 1  failed 1  audio 0:30:00" in log.getvalue()
