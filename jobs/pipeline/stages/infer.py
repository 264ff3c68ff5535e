"""infer: one specialist in one session, which adds its stem's segments and its seconds to the chunks."""

import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.arrow import pack, schema_of, to_row, unpack
from jobs.pipeline.job import Job
from jobs.pipeline.records import InferenceRun
from jobs.pipeline.stages.cut import MIX
from jobs.pipeline.stages.slots import Slots
from jobs.pipeline.stages.stage import InferenceObserver, Observe, Unobserved, unobserved
from jobs.pipeline.stages.worker import Worker
from separation.models.bag import fetch
from separation.models.specialist import Specialist


class Infer:
    """Work of one actor: `specialist` over the chunks of a table, as many at once as a batch holds."""

    def __init__(
        self,
        specialist: Specialist,
        job: Job,
        slots: Slots,
        node: str,
        observer: InferenceObserver | None = None,
    ):
        self._specialist, self._slots, self._node = specialist, slots, node
        self._observer = observer or Unobserved()
        self._stem, self._batch = specialist.stem, job.plan.batch
        self._is_last = specialist.stem == job.stems[-1]
        self._sha256 = job.bag.specialists[specialist.stem].sha256
        self._precision = job.bag.precision

    def __call__(self, chunks: pa.Table) -> pa.Table:
        """Table of `TrackChunk` and MIX -> the same with this stem's columns; the last stem drops MIX.

        A chunk that is skipped is its own stem: silence, at the level of the normalized mix.
        """
        has_audio = pc.and_(chunks["error_kind"].is_null(), pc.greater(pc.binary_length(chunks[MIX]), 0))
        there = [row for row, is_there in enumerate(has_audio.to_pylist()) if is_there]
        skipped = chunks["skipped"].to_pylist()
        good = [row for row in there if not skipped[row]]
        segments: list[np.ndarray | None] = [None] * len(chunks)
        runs: list[InferenceRun | None] = [None] * len(chunks)
        for row in there:
            if skipped[row]:
                segments[row] = unpack(chunks[MIX], row)
        lengths = chunks["length"].to_pylist()
        for rows in (good[first : first + self._batch] for first in range(0, len(good), self._batch)):
            mix = np.stack([unpack(chunks[MIX], row) for row in rows])
            outputs, run = self._infer(mix, [lengths[row] for row in rows])
            for row, output in zip(rows, outputs, strict=True):
                segments[row], runs[row] = output, run
        if self._is_last:
            chunks = chunks.drop_columns([MIX])
        return add_stem(chunks, self._stem, segments, runs)

    def _infer(self, mix: np.ndarray, lengths: list[int]) -> tuple[np.ndarray, InferenceRun]:
        """The stem's segments, and one chunk's share of what that took."""
        try:
            with self._slots.take() as queue_s:
                clock = time.perf_counter()
                outputs = self._specialist(mix)
                infer_s = time.perf_counter() - clock
        except Exception:
            self._observer.failed()
            raise
        self._observer.inferred(lengths, infer_s, queue_s)
        share = 1 / len(lengths)
        run = InferenceRun(
            infer_s=infer_s * share,
            queue_s=queue_s * share,
            batches=share,
            model_sha256=self._sha256,
            precision=self._precision,
            provider=self._specialist.provider,
            device=self._specialist.device,
            node=self._node,
        )
        return outputs, run


def load_infer(stem: str, job: Job, worker: Worker, observe: Observe = unobserved) -> Infer:
    """Fetches and opens the stem's specialist on this node."""
    specialist = open_specialist(stem, job, fetch_specialist(stem, job))
    slots = Slots(Path(job.cache) / "slots", job.plan.turns)
    return Infer(specialist, job, slots, worker.node, observe(specialist.device))


def fetch_specialist(stem: str, job: Job) -> Path:
    return fetch(job.bag, stem, Path(job.cache) / "models", job.store)


def open_specialist(stem: str, job: Job, file: Path) -> Specialist:
    return Specialist(
        file,
        stem,
        job.bag.stems,
        provider=job.plan.provider,
        threads=job.plan.threads,
        spinning=False,  # actors share the node's cores
        sha256=job.bag.specialists[stem].sha256,
        cache=Path(job.cache) / "optimized",
    )


def audio_column(stem: str) -> str:
    return f"audio of {stem}"


def run_column(stem: str) -> str:
    return f"run of {stem}"


def add_stem(
    chunks: pa.Table, stem: str, segments: list[np.ndarray | None], runs: list[InferenceRun | None]
) -> pa.Table:
    """`chunks` with a stem's segments and what each of them took; None for a chunk in error."""
    kind = pa.struct(list(schema_of(InferenceRun)))
    column = pa.array([None if run is None else to_row(run) for run in runs], kind)
    return chunks.append_column(audio_column(stem), pack(segments)).append_column(run_column(stem), column)
