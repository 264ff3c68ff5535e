"""infer: one graph in one session, which adds its rows to the stems' segments, and says what it took."""

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
from separation.models.graph import Graph, open_graph
from separation.models.graph_files import fetch
from separation.separator import weighted

Segments = list[np.ndarray | None]  # of a block's chunks: float32 (channels, segment), None for no audio


class Infer:
    """Work of one actor: `graph` over the chunks of its contract, as many at once as a batch holds."""

    def __init__(
        self,
        graph: Graph,
        job: Job,
        slots: Slots,
        node: str,
        observer: InferenceObserver | None = None,
    ):
        self._graph, self._slots, self._node = graph, slots, node
        self._observer = observer or Unobserved()
        self._batch = job.plan.batch
        self._devices = job.plan.gpus_per_actor or job.plan.threads  # that an inference holds
        self._is_last = graph.name == job.graphs[-1]
        self._file = job.bag.graphs[graph.name]
        self._shares = job.bag.contributions(graph.name, job.stems)

    def __call__(self, chunks: pa.Table) -> pa.Table:
        """Table of `TrackChunk` and MIX -> the same with the graph's stems; the last graph drops MIX.

        Chunks of another contract have no audio for it. A chunk that is skipped is its own stem: silence, at
        the level of the normalized mix.
        """
        has_audio = pc.and_(chunks["error_kind"].is_null(), pc.greater(pc.binary_length(chunks[MIX]), 0))
        is_own = pc.and_(has_audio, pc.equal(chunks["contract"], self._file.contract))
        there = [row for row, is_there in enumerate(is_own.to_pylist()) if is_there]
        skipped = chunks["skipped"].to_pylist()
        good = [row for row in there if not skipped[row]]
        outputs: Segments = [None] * len(chunks)  # float32 (rows, channels, segment)
        runs: list[InferenceRun | None] = [None] * len(chunks)
        for row in there:
            if skipped[row]:
                mix = unpack(chunks[MIX], row)
                outputs[row] = np.broadcast_to(mix, (len(self._file.rows), *mix.shape))
        lengths = chunks["length"].to_pylist()
        for rows in (good[first : first + self._batch] for first in range(0, len(good), self._batch)):
            mix = np.stack([unpack(chunks[MIX], row) for row in rows])
            inferred, run = self._infer(mix, [lengths[row] for row in rows])
            for row, output in zip(rows, inferred, strict=True):
                outputs[row], runs[row] = output, run
        if self._is_last:
            chunks = chunks.drop_columns([MIX])
        for stem, shares in self._shares.items():
            segments = [None if rows is None else weighted(rows, shares) for rows in outputs]
            chunks = add_to_stem(chunks, stem, segments)
        return add_runs(chunks, self._graph.name, runs)

    def _infer(self, mix: np.ndarray, lengths: list[int]) -> tuple[np.ndarray, InferenceRun]:
        """The graph's rows, and one chunk's share of what that took."""
        try:
            with self._slots.take() as queue_s:
                clock = time.perf_counter()
                outputs = self._graph(mix)
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
            model_sha256=self._file.sha256,
            precision=self._file.precision,
            provider=self._graph.provider,
            device=self._graph.device,
            node=self._node,
            device_s=infer_s * self._devices * share,
        )
        return outputs, run


def load_infer(name: str, job: Job, worker: Worker, observe: Observe = unobserved) -> Infer:
    """Fetches and opens a graph on this node."""
    graph = open_for(name, job, fetch_for(name, job))
    slots = Slots(Path(job.cache) / "slots", job.plan.turns)
    return Infer(graph, job, slots, worker.node, observe(graph.device))


def fetch_for(name: str, job: Job) -> Path:
    return fetch(job.bag, name, Path(job.cache) / "models", job.store)


def open_for(name: str, job: Job, file: Path) -> Graph:
    return open_graph(
        job.bag,
        name,
        file,
        provider=job.plan.provider,
        threads=job.plan.threads,
        spinning=False,  # actors share the node's cores
        cache=Path(job.cache) / "optimized",
        batch=job.plan.batch,
    )


def audio_column(stem: str) -> str:
    return f"audio of {stem}"


def run_column(graph: str) -> str:
    return f"run of {graph}"


def add_to_stem(chunks: pa.Table, stem: str, segments: Segments) -> pa.Table:
    """`chunks` with `segments` added to those of the stem, which an earlier graph may have begun.

    A table keeps the sum alone: those of every graph would fill the object store.
    """
    name = audio_column(stem)
    if name not in chunks.column_names:
        return chunks.append_column(name, pack(segments))
    sums = [None if new is None else unpack(chunks[name], row) + new for row, new in enumerate(segments)]
    return chunks.set_column(chunks.column_names.index(name), name, pack(sums))


def add_runs(chunks: pa.Table, graph: str, runs: list[InferenceRun | None]) -> pa.Table:
    """`chunks` with what a graph took for each; None where it did not run."""
    kind = pa.struct(list(schema_of(InferenceRun)))
    column = pa.array([None if run is None else to_row(run) for run in runs], kind)
    return chunks.append_column(run_column(graph), column)
