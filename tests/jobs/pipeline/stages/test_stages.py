"""Each stage alone, with a worker, a graph and an observer of the test's own."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from jobs.pipeline.arrow import from_table, to_table, unpack
from jobs.pipeline.job import Job
from jobs.pipeline.records import (
    Failure,
    FinishedSection,
    InferenceRun,
    ListedTrack,
    Track,
    TrackChunk,
    TrackSection,
    share_of,
    sum_runs,
)
from jobs.pipeline.sizing import JobPlan
from jobs.pipeline.stages.cut import MIX, cut_sections
from jobs.pipeline.stages.infer import Infer, audio_column, run_column
from jobs.pipeline.stages.probe import probe
from jobs.pipeline.stages.separation import separation_stages
from jobs.pipeline.stages.slots import Slots
from jobs.pipeline.stages.split import split
from jobs.pipeline.stages.worker import Worker, worker_of
from separation.audio.limits import Limits
from separation.contract import HTDEMUCS
from separation.errors import ErrorKind
from separation.options import Options
from separation.store.objects import Store
from separation.store.retry import RetryPolicy
from tests.bags import bag_of_stems
from tests.stores import STORE
from tests.web import says, web_server

LENGTH = int(2.5 * HTDEMUCS.stride)  # three chunks: two sections


@dataclass
class Halving:
    """A graph in name, which needs no file: every row is half of the mix, times its number."""

    name: str
    rows: int = 1
    provider: str = "none"
    device: str = "test"
    breaks: bool = False

    def __call__(self, segments: np.ndarray) -> np.ndarray:
        if self.breaks:
            raise OSError("the device is gone")
        return np.stack([(row + 1) * segments / 2 for row in range(self.rows)], axis=1)


@dataclass
class Counter:
    batches: list[list[int]] = field(default_factory=list)
    failures: int = 0

    def inferred(self, lengths: list[int], infer_s: float, queue_s: float) -> None:
        self.batches.append(lengths)

    def failed(self) -> None:
        self.failures += 1


@pytest.fixture
def job(tmp_path: Path) -> Job:
    bag = replace(bag_of_stems(("bass", "vocals")), uri=str(tmp_path))
    plan = JobPlan("cpu", 1, 1, 1.0, 0.0, 1, 1, 2, 2, 2, 2**22)
    return Job("run", str(tmp_path / "out"), bag, Options(), plan, str(tmp_path / "cache"), 10**9, 0.0, STORE)


@pytest.fixture
def worker(job: Job) -> Worker:
    return worker_of(job.cache, job.cache_bytes, "node", job.store)


@pytest.fixture
def listed(tmp_path: Path) -> pa.Table:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (LENGTH, 2))
    soundfile.write(tmp_path / "song.wav", noise, HTDEMUCS.sample_rate)
    tracks = [
        ListedTrack("song.wav", str(tmp_path / "song.wav")),
        ListedTrack("missing.wav", str(tmp_path / "missing.wav")),
        ListedTrack("refused", "s3://nowhere/x.wav", Failure(ErrorKind.BAD_KEY, "the manifest says so")),
    ]
    return to_table(tracks, ListedTrack)


def infer(stem: str, job: Job, tmp_path: Path, **more: object) -> tuple[Infer, Counter]:
    counter = Counter()
    specialist = Halving(stem, **more)  # type: ignore[arg-type]
    return Infer(specialist, job, Slots(tmp_path / "slots", 1), "node", counter), counter  # type: ignore[arg-type]


def test_probe_finds_lengths_or_failures(listed: pa.Table, job: Job, worker: Worker) -> None:
    song, missing, refused = from_table(Track, probe(listed, job, worker))
    assert (song.status, song.length, song.encoded and song.encoded.channels) == ("ok", LENGTH, 2)
    assert song.level.std > 0 and song.probe_s and song.source
    assert missing.failure and missing.failure.error_kind == ErrorKind.MISSING
    assert refused.failure == Failure(ErrorKind.BAD_KEY, "the manifest says so")
    assert (refused.source, refused.measured, refused.probe_s) == (None, None, None)


def test_a_source_that_cannot_be_reached_is_pending_in_every_stage_that_reads_it(
    listed: pa.Table, job: Job, tmp_path: Path
) -> None:
    answers = {"/song.wav": says(200, (tmp_path / "song.wav").read_bytes(), ETag='"1"')}
    impatient = Limits(source_patience_s=0)
    job = replace(job, store=Store(RetryPolicy(first_pause_s=0.01)), limits=impatient)
    with web_server(answers) as web:
        there = to_table([ListedTrack("song.wav", f"{web}/song.wav")], ListedTrack)
        worker = worker_of(str(tmp_path / "first"), 10**9, "first", job.store, impatient)
        sections = split(probe(there, job, worker), job, worker)
        answers["/song.wav"] = says(503)
        elsewhere = worker_of(str(tmp_path / "second"), 10**9, "second", job.store, impatient)
        (track,) = from_table(Track, probe(there, job, elsewhere))
        chunks = from_table(TrackChunk, cut_sections(sections, job, elsewhere))
    failures = [track.failure, *(chunk.section.track.failure for chunk in chunks)]
    assert len(failures) == 3
    for failure in failures:
        assert failure and failure.is_pending
        assert failure.error.startswith("the server answers 503")
    (good, missing, refused) = from_table(Track, probe(listed, job, elsewhere))
    assert good.failure is None
    assert not any(each.failure and each.failure.is_pending for each in (missing, refused))


def test_split_gives_the_sections_of_a_track_and_one_of_an_error(
    listed: pa.Table, job: Job, worker: Worker
) -> None:
    sections = from_table(TrackSection, split(probe(listed, job, worker), job, worker))
    found = [(each.track.track_id, each.index, each.sections, each.chunks) for each in sections]
    assert found == [
        ("song.wav", 0, 2, 2),
        ("song.wav", 1, 2, 1),
        ("missing.wav", 0, 1, 0),
        ("refused", 0, 1, 0),
    ]


def test_cut_gives_a_row_per_chunk_and_one_without_audio_for_an_error(
    listed: pa.Table, job: Job, worker: Worker
) -> None:
    chunks = cut_sections(split(probe(listed, job, worker), job, worker), job, worker)
    found = [(each.section.track.track_id, each.chunk) for each in from_table(TrackChunk, chunks)]
    assert found == [("song.wav", 0), ("song.wav", 1), ("song.wav", 0), ("missing.wav", 0), ("refused", 0)]
    assert [len(audio.as_buffer()) > 0 for audio in chunks[MIX]] == [True] * 3 + [False] * 2


def test_infer_batches_the_good_chunks_and_is_observed(
    listed: pa.Table, job: Job, worker: Worker, tmp_path: Path
) -> None:
    chunks = cut_sections(split(probe(listed, job, worker), job, worker), job, worker)
    step, counter = infer("bass", job, tmp_path)
    done = step(chunks)
    np.testing.assert_array_equal(unpack(done[audio_column("bass")], 2), unpack(chunks[MIX], 2) / 2)
    assert counter == Counter([[LENGTH, LENGTH], [LENGTH]], 0)
    assert MIX in done.column_names
    last, _ = infer("vocals", job, tmp_path)
    assert MIX not in last(done).column_names
    broken, counter = infer("bass", job, tmp_path, breaks=True)
    with pytest.raises(OSError, match="device is gone"):
        broken(chunks)
    assert counter == Counter([], 1)


@pytest.mark.parametrize(("gpus", "threads", "held"), [(0.0, 3, 3.0), (0.25, 1, 0.25)])
def test_an_inference_holds_its_threads_or_its_share_of_a_gpu(
    listed: pa.Table, job: Job, worker: Worker, tmp_path: Path, gpus: float, threads: int, held: float
) -> None:
    """Four actors of a GPU run by turns: `infer_s` sums to four times its seconds, `device_s` to one."""
    job = replace(job, plan=replace(job.plan, gpus_per_actor=gpus, threads=threads))
    chunks = cut_sections(split(probe(listed, job, worker), job, worker), job, worker)
    step, _ = infer("bass", job, tmp_path)
    runs = [run for run in step(chunks)[run_column("bass")].to_pylist() if run]
    assert len(runs) == 3
    for run in runs:
        assert run["device_s"] == pytest.approx(held * run["infer_s"])
    total = sum_runs(InferenceRun(**run) for run in runs)
    assert total and share_of(total, 0.5).device_s == pytest.approx(held * total.infer_s / 2)


def test_the_stages_of_a_job_have_names_of_their_own(job: Job) -> None:
    stems = ("probe", "cut", "finish", "Drums", "drums", "lead-vocals")
    stages = separation_stages(replace(job, bag=bag_of_stems(stems)))
    titles = stages.process_titles
    assert len(titles) == len(set(titles.values())) == 5 + len(stems)
    assert [stage.verb for stage in stages.infer][:2] == ["infer probe of", "infer cut of"]


def test_a_section_in_error_is_finished_without_work(listed: pa.Table, job: Job, worker: Worker) -> None:
    sections = from_table(TrackSection, split(probe(listed, job, worker), job, worker))[2:]
    chunks = cut_sections(to_table(sections, TrackSection), job, worker)
    done = from_table(FinishedSection, separation_stages(job).stitch.work(chunks, job, worker))
    assert [each.track.status for each in done] == ["error", "error"]
    assert all(each.work.stems == () for each in done)


def test_a_process_has_one_worker_per_cache(job: Job, worker: Worker) -> None:
    assert worker_of(job.cache, job.cache_bytes, "node", job.store) is worker
    assert worker_of(f"{job.cache}2", job.cache_bytes, "node", job.store) is not worker
