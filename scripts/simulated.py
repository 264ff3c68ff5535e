"""A job whose stages sleep: tracks without audio, and inferences that take as long as real ones."""

import random
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import ray

from jobs.pipeline import records
from jobs.pipeline.arrow import from_table, pack, to_table
from jobs.pipeline.catalogue.manifest import listed_table
from jobs.pipeline.job import Job
from jobs.pipeline.records import (
    Encoded,
    FinishedSection,
    FinishedTrack,
    ListedTrack,
    Source,
    Track,
    TrackChunk,
    TrackSection,
    Work,
    merge,
)
from jobs.pipeline.stages.cut import MIX
from jobs.pipeline.stages.infer import add_runs, add_to_stem
from jobs.pipeline.stages.separation import separation_stages
from jobs.pipeline.stages.slots import Slots
from jobs.pipeline.stages.stage import Observe, Stages, Step
from jobs.pipeline.stages.worker import Worker
from separation.contract import HTDEMUCS
from separation.level import Level
from separation.models.bag import Bag, GraphFile, WeightedRow

CONTRACT = "htdemucs"
NODE = "n" * 56  # a node id's length


@dataclass(frozen=True, slots=True)
class Load:
    """Tracks of `length` samples, and what they take.

    chunk_s   of one chunk in one actor, at the full speed of its slot
    store_s   of a task that writes the stems of one second of audio as files; parts are twice as large
    gate      folder of the slots that the node's actors, or a GPU's, share; empty for actors that never wait
    """

    length: int
    chunk_s: float
    store_s: float = 0.0
    gate: str = ""


def bag(graphs: int) -> Bag:
    """Of so many graphs in name, each for one stem."""
    names = [f"stem{number}" for number in range(graphs)]
    files = {
        name: GraphFile(f"{name}.onnx", "0" * 64, 1, CONTRACT, (name,), "fp32", "", "") for name in names
    }
    stems = {name: (WeightedRow(name, name),) for name in names}
    return Bag(".", "simulated", {CONTRACT: HTDEMUCS}, files, stems)


def sleeping_stages(job: Job, load: Load, calls: int = 1) -> Stages:
    """The stages of a separation; an actor runs `calls` sleeping inferences at once."""
    stages = separation_stages(job)
    return replace(
        stages,
        probe=replace(stages.probe, work=partial(probe, load)),
        cut=replace(stages.cut, work=cut),
        infer=tuple(replace(stage, load=partial(load_sleep, load), calls=calls) for stage in stages.infer),
        stitch=replace(stages.stitch, work=partial(stitch, load)),
        finish=replace(stages.finish, work=partial(finish, load)),
    )


def probe(load: Load, listed: pa.Table, job: Job, worker: Worker) -> pa.Table:
    return to_table([probed(track, load) for track in from_table(ListedTrack, listed)], Track)


def probed(listed: ListedTrack, load: Load) -> Track:
    return Track(
        track_id=listed.track_id,
        uri=listed.uri,
        failure=None,
        warnings=(),
        source=Source(random.randrange(20_000_000, 30_000_000), random.randbytes(16).hex()),
        encoded=Encoded(HTDEMUCS.sample_rate, 2),
        measured=Level(load.length, 0.0, 0.1, 0.5),
        probe_s=random.random(),
        started_at=datetime.now(UTC),
    )


def cut(sections: pa.Table, job: Job, worker: Worker) -> pa.Table:
    (section,) = from_table(TrackSection, sections)
    chunks = [TrackChunk(section, 0.0, index) for index in range(section.chunks)]
    return to_table(chunks, TrackChunk).append_column(MIX, pack([None] * len(chunks)))


def load_sleep(load: Load, graph: str, job: Job, worker: Worker, observe: Observe) -> Step:
    """Sleeps as an actor works: batch by batch, each in a slot that the node's or GPU's actors share."""
    run = records.InferenceRun(load.chunk_s, 0.0, 1.0, None, None, None, None, NODE)
    slot = _slots(Path(load.gate), job).take if load.gate else nullcontext

    def step(chunks: pa.Table) -> pa.Table:
        for first in range(0, len(chunks), job.plan.batch):
            with slot():
                time.sleep(min(job.plan.batch, len(chunks) - first) * load.chunk_s)
        for stem in job.bag.contributions(graph, job.stems):
            chunks = add_to_stem(chunks, stem, [None] * len(chunks))
        return add_runs(chunks, graph, [run] * len(chunks))

    return step


def _slots(gate: Path, job: Job) -> Slots:
    """A GPU runs one batch at a time here, in turns, which in sum is what its time slices do."""
    if gpus := ray.get_gpu_ids():
        return Slots(gate / f"gpu-{gpus[0]}", 1)
    return Slots(gate / "cpu", job.plan.turns)


def stitch(load: Load, chunks: pa.Table, job: Job, worker: Worker) -> pa.Table:
    section = from_table(TrackSection, chunks.slice(0, 1))[0]
    seconds = section.chunks * HTDEMUCS.stride / HTDEMUCS.sample_rate
    time.sleep(seconds * load.store_s * (1 if section.sections == 1 else 2))
    return to_table([FinishedSection(section, finished_work(job, section.track.track_id))], FinishedSection)


def finish(load: Load, sections: Sequence[FinishedSection], job: Job, worker: Worker) -> FinishedTrack:
    time.sleep(load.length / HTDEMUCS.sample_rate * load.store_s * 3)  # the parts, then the stems
    return merge(sections)


def finished_work(job: Job, track_id: str) -> Work:
    """What the last stage adds to a track; its numbers and hashes compress as badly as real ones."""
    return Work(
        decode_s=random.random(),
        stitch_s=random.random(),
        write_s=random.random(),
        upload_s=random.random(),
        clip_factor=1.0,
        stems=tuple(stem_result(stem, f"{job.output}/stems/{track_id}/{stem}.wav") for stem in job.stems),
    )


def stem_result(stem: str, uri: str) -> records.StemResult:
    seconds = (random.random(), random.random(), 41.0)
    run = records.InferenceRun(*seconds, stem[0] * 64, "fp32", "CUDAExecutionProvider", "NVIDIA L4", NODE)
    file = (random.randrange(40_000_000, 50_000_000), random.randbytes(32).hex(), random.random())
    return records.StemResult(stem, stem, uri, *file, chunks=41, run=run)


def catalogue(tracks: int) -> pa.Table:
    ids = [f"label/{number // 1000:04}/{number:07} a title of some length.flac" for number in range(tracks)]
    uris = [f"s3://music/catalogue/{track_id}" for track_id in ids]
    return listed_table(pa.array(ids), pa.array(uris), pa.nulls(tracks, pa.string()))
