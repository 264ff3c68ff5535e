"""What a job tells while it works: phases, progress by audio that is inferred, JSON lines."""

import io
import json
import time
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from jobs.pipeline import dataset
from jobs.pipeline.live_counts import InferredAudio, LiveCounter
from jobs.pipeline.progress import WARM_UP_S, Counts, Events, Live, Progress
from jobs.pipeline.stages.probe import tell_lengths
from jobs.pipeline.stages.stage import TaskStage
from separation.console import LineConsole


class Told:
    """A program's text and its JSON lines."""

    def __init__(self) -> None:
        self.text, self._json = io.StringIO(), io.StringIO()
        self.events = Events(LineConsole(file=self.text), self._json)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._json.getvalue().splitlines()]


def progress_of(told: Told, total: int, **counts: Any) -> Progress:
    """Of `total` tracks, begun at the moment 0."""
    progress = Progress(Counts(total, **counts), told.events, Live)
    progress._started = 0.0
    return progress


def test_audio_counts_from_the_first_chunk_and_speed_after_the_warm_up() -> None:
    """The start, in which models are loaded, says nothing about the speed."""
    progress = progress_of(Told(), 10, failed=1)
    pace = progress.pace(100.0)
    assert (pace.audio_s, pace.audio_total_s, pace.x_realtime, pace.eta_s) == (0.0, None, None, None)
    progress.update(Live(5.0, probed=3, probed_s=600.0), 100.0)
    progress.update(Live(35.0, probed=3, probed_s=600.0), 101.0)
    early = progress.pace(100.0 + WARM_UP_S / 2)
    assert (early.audio_s, early.audio_total_s, early.x_realtime, early.eta_s) == (35.0, 1800.0, None, None)
    progress.update(Live(45.0, probed=6, probed_s=900.0), 120.0)
    pace = progress.pace(120.0)
    assert (pace.audio_s, pace.audio_total_s, pace.x_realtime) == (45.0, 1350.0, 2.0)
    assert pace.eta_s == (1350.0 - 45.0) / 2.0
    fields = progress.fields(120.0)
    assert (fields["audio"], fields["x realtime"], fields["ETA"]) == ("0:00:45 of 0:22:30", "2.00", "0:10:52")


def test_what_is_finished_counts_where_nothing_was_inferred() -> None:
    """As silent tracks, and where the counts were lost with their actor."""
    progress = progress_of(Told(), 4)
    progress.update(Live(10.0, probed=4, probed_s=400.0), 10.0)
    progress.update(Live(1.0, probed=0, probed_s=0.0), 15.0)  # it has begun again
    for _ in range(3):
        progress.add(100.0)
    pace = progress.pace(39.0)
    assert (pace.audio_s, pace.audio_total_s, pace.x_realtime, pace.eta_s) == (300.0, 400.0, 10.0, 10.0)
    progress.add(150.0)
    assert progress.pace(40.0).eta_s == 0.0  # never below


def test_without_counts_of_chunks_the_finished_tracks_tell() -> None:
    progress = Progress(Counts(4), Told().events)
    progress._started = 0.0
    progress.add(100.0)
    pace = progress.pace(10.0)
    assert (pace.audio_s, pace.audio_total_s, pace.x_realtime, pace.eta_s) == (100.0, None, 10.0, 30.0)


def test_the_first_chunk_is_said_once() -> None:
    told = Told()
    progress = progress_of(told, 2)
    for inferred_s, now in ((0.0, 20.0), (0.5, 21.0), (3.0, 22.0)):
        progress.update(Live(inferred_s), now)
    assert told.text.getvalue() == "first chunk inferred: after 0:00:21\n"
    (line,) = told.lines()
    assert (line["event"], line["phase"]) == ("phase", "first chunk inferred")


def test_json_lines_say_what_the_text_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.pipeline.progress.POLL_S", 0.001)
    monkeypatch.setattr("jobs.pipeline.progress.LINE_S", 0.0)
    told = Told()

    def work() -> int:
        told.events.phase("starting Ray", "s3://me:hush@b/x\n")
        with Progress(Counts(3), told.events, lambda: Live(9.0, 3, 60.0)) as progress:
            progress.add(20.0)
            progress.add(None)
            for _ in range(5_000):
                if len(told.lines()) > 3:
                    break
                time.sleep(0.001)
        return 1

    assert told.events.to_the_end(work) == 1
    began, first, *between, last = told.lines()
    assert began.pop("elapsed_s") >= 0
    assert began == {"event": "phase", "phase": "starting Ray", "detail": "s3://b/x\\n"}
    assert first["phase"] == "first chunk inferred"
    assert {line["event"] for line in between} == {"progress"} and len(between) > 1
    assert between[-1]["tracks"] == {
        **{"total": 3, "done": 1, "failed": 1, "pending": 0, "left": 1},
        "audio_s": 20.0,
    }
    assert (between[-1]["audio_s"], between[-1]["audio_total_s"]) == (20.0, 40.0)
    assert (last["event"], last["exit_code"], last["reason"]) == ("end", 1, None)
    assert "tracks done 1 of 3" in told.text.getvalue()


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [(OSError("https://me:hush@h/x\n"), 2, "https://h/x\\n"), (KeyboardInterrupt(), 130, "interrupted")],
)
def test_the_last_json_line_says_why_a_program_stopped(error: BaseException, code: int, reason: str) -> None:
    told = Told()

    def fail() -> int:
        raise error

    with pytest.raises(type(error)):
        told.events.to_the_end(fail)
    (line,) = told.lines()
    assert (line["event"], line["exit_code"], line["reason"]) == ("end", code, reason)


def test_an_actor_tells_the_first_chunk_at_once_and_the_others_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("jobs.pipeline.live_counts.time.monotonic", lambda: now[0])
    counter = LiveCounter()
    inferred = InferredAudio(counter)
    found = []
    for after in (0.0, 0.5, 0.4, 0.2, 0.9):
        now[0] += after
        inferred.add(2.0)
        found.append(counter.live.inferred_s)
    assert found == [2.0, 2.0, 2.0, 8.0, 8.0]


def test_a_probe_tells_the_lengths_that_it_finds() -> None:
    """Two of three tracks: the other one is an error and has none."""
    found = pa.table({"length": pa.array([44_100, None, 88_200], pa.int64())})
    stage = TaskStage(name="p", verb="", cpus=1.0, work=lambda table, job, worker: found, tells=tell_lengths)
    counter: Any = LiveCounter()
    job: Any = SimpleNamespace(sample_rate=44_100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "this_worker", lambda job: None)
        assert dataset.TaskRunner(stage, counter)(pa.table({}), job) is found
    assert counter.live == Live(probed=2, probed_s=3.0)
    none = pa.table({"length": pa.array([None], pa.int64())})
    assert tell_lengths(none, job) == Live()


def test_counts_of_many_processes_add_up() -> None:
    counter = LiveCounter()
    for live in (Live(probed=2, probed_s=30.0), Live(inferred_s=1.5), Live(inferred_s=2.0)):
        counter.add(live)
    assert counter.live == Live(3.5, 2, 30.0)
