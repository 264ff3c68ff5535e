"""The road as one chained expression. What is Ray's, and why it is set as it is, stands here."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset

from jobs.pipeline import attempts
from jobs.pipeline.arrow import Row
from jobs.pipeline.attempts import Remote, guarded
from jobs.pipeline.job import Job
from jobs.pipeline.metrics import InferenceMetrics
from jobs.pipeline.sizing import Node
from jobs.pipeline.stages import steps
from jobs.pipeline.stages import stitch as stitch_stage

TRACKS_A_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Steps:
    """What is done on the road, as functions of a table and a job; `scripts/simulate.py` has others.

    `infer` is made with a stem, the job and the node's name, and its `facts` say the device; an actor runs
    `calls` of it at once.
    """

    probe: Callable[..., pa.Table] = steps.probe
    plan: Callable[..., pa.Table] = steps.plan
    chunk: Callable[..., pa.Table] = steps.chunk
    infer: type = steps.Infer
    stitch: Callable[..., pa.Table] = stitch_stage.stitch
    finish: Callable[..., Row] = stitch_stage.finish
    calls: int = 1


STEPS = Steps()


def cluster_nodes() -> list[Node]:
    """The living nodes, as Ray reports them."""
    return [
        Node(
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            store_bytes=node["Resources"].get("object_store_memory", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def configure() -> None:
    """Ray Data's settings for our jobs, in its global context: operators read them there."""
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    context = DataContext.get_current()
    context.target_max_block_size = None  # one task's output stays one block: a section stays whole
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.issue_detectors_config.detectors = []  # it asks for `memory` options that the plan has in hand
    context.raise_original_map_exception = True  # a ModelError stays one on its way to the driver


class Road:
    """A job's tracks on Ray: to finished rows of sections, and from those to finished tracks."""

    def __init__(self, job: Job, steps: Steps = STEPS):
        configure()
        self._job, self._steps = job, steps
        self._attempts = attempts.start()
        task = ray.remote(attempts.finish).options(name="finish", max_retries=-1, num_cpus=job.plan.task_cpus)
        self._finish = task.remote

    def sections(self, tracks: pa.Table) -> Iterator[Row]:
        """One row a section (`schema.FINISHED`), as they are finished."""
        return iterate(sections(tracks, self._job, self._steps, self._attempts))

    def finish(self, rows: list[Row]) -> Row:
        """`ending.finish` as a task on a worker."""
        return ray.get(self._finish(self._steps.finish, rows, self._job, self._attempts))


def iterate(dataset: Dataset) -> Iterator[Row]:
    for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        yield from table.to_pylist()


def sections(tracks: pa.Table, job: Job, steps: Steps, ledger: Remote) -> Dataset:
    """tracks -> one finished row a section; lazy until it is iterated.

    Tasks and actors start again without end, which is Ray Data's default: `attempts` says when it is enough.
    """
    task = {"batch_format": "pyarrow", "num_cpus": job.plan.task_cpus, "fn_kwargs": {"job": job}}
    dataset = (
        ray.data.from_arrow(_blocks(tracks))
        .repartition(target_num_rows_per_block=1)
        .map_batches(guarded(steps.probe, "probe", ledger), **task)
        .map_batches(steps.plan, **task)
        .repartition(target_num_rows_per_block=1)
        .map_batches(guarded(steps.chunk, "cut", ledger), **task)
    )
    for stem in job.stems:
        dataset = dataset.map_batches(_actor(stem, steps.infer, ledger), **_pool(job, steps.calls))
    return dataset.map_batches(guarded(steps.stitch, "stitch", ledger), **task)


def _blocks(tracks: pa.Table) -> list[pa.Table]:
    return [tracks.slice(first, TRACKS_A_BLOCK) for first in range(0, tracks.num_rows, TRACKS_A_BLOCK)]


def _pool(job: Job, calls: int) -> dict[str, Any]:
    plan = job.plan
    gpu = {"num_gpus": plan.gpus_per_actor, "batch_size": plan.batch} if plan.gpus_per_actor else {}
    return {
        "batch_format": "pyarrow",
        "num_cpus": plan.cpus_per_actor,
        "compute": ActorPoolStrategy(
            min_size=plan.actors,
            max_size=plan.max_actors,
            max_concurrent_calls_per_actor=calls,
            enable_true_multi_threading=calls > 1,
        ),
        "fn_constructor_kwargs": {"job": job},
        **gpu,
    }


def _actor(stem: str, infer: type, ledger: Remote) -> type:
    """The class of a stem's pool, `Vocals` for `vocals`: Ray shows it as the operator's name. It counts."""

    class Actor(infer):
        def __init__(self, job: Job):
            with attempts.loading(stem, job, ledger):
                super().__init__(stem, job, ray.get_runtime_context().get_node_id())
            self.metrics = InferenceMetrics(stem, self.facts["device"], job)

        def __call__(self, chunks: pa.Table) -> pa.Table:
            try:
                return attempts.guard(chunks, f"infer {stem} of", ledger, super().__call__)
            except Exception:
                self.metrics.failed()
                raise

        def inferred(self, lengths: list[int], infer_s: float, queue_s: float) -> None:
            self.metrics.add(lengths, infer_s, queue_s)

    Actor.__name__ = Actor.__qualname__ = stem.capitalize()
    return Actor
