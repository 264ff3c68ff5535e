"""Builds the Ray Data pipeline of a job. All settings of Ray stand here, with their reasons."""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset, TaskPoolStrategy

from jobs.pipeline import attempts, ledger
from jobs.pipeline.arrow import Row, from_row
from jobs.pipeline.job import Job
from jobs.pipeline.ledger import RemoteLedger
from jobs.pipeline.metrics import InferenceMetrics
from jobs.pipeline.progress import Live
from jobs.pipeline.records import FinishedSection, FinishedTrack
from jobs.pipeline.sizing import PROBE_CPUS, Node
from jobs.pipeline.stages.separation import separation_stages
from jobs.pipeline.stages.stage import FinishStage, PoolStage, Stages, TaskStage
from jobs.pipeline.stages.worker import Worker, worker_of

TRACKS_PER_BLOCK = 512
Runner = TypeVar("Runner", bound=type)


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
    context.issue_detectors_config.detectors = []  # it asks for `memory` options, which the job has sized
    context.raise_original_map_exception = True  # a ModelError stays one on its way to the driver


class RayPipeline:
    """A job's tracks on Ray: into finished sections, and those of long tracks into finished tracks."""

    def __init__(self, job: Job, stages: Stages | None = None):
        configure()
        self._job, self._stages = job, stages or separation_stages(job)
        self._ledger = ledger.start()
        stage = self._stages.finish
        remote: Any = ray.remote(run_finish)
        self._finish = remote.options(name=stage.name, max_retries=-1, num_cpus=stage.cpus).remote

    def sections(self, tracks: pa.Table) -> Iterator[FinishedSection]:
        """The sections of a table of `ListedTrack`, as they are finished."""
        for row in iterate(sections(tracks, self._job, self._stages, self._ledger)):
            yield from_row(FinishedSection, row)

    def live(self) -> Live:
        """What is inferred and known of tracks that need not be finished."""
        return self._ledger.live()

    def finish(self, sections: Sequence[FinishedSection]) -> FinishedTrack:
        """A track from all of its sections, by a task on a worker."""
        track: FinishedTrack = ray.get(self._finish(self._stages.finish, sections, self._job, self._ledger))
        return track


def iterate(dataset: Dataset) -> Iterator[Row]:
    tables: Any = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    for table in tables:
        yield from table.to_pylist()


def sections(tracks: pa.Table, job: Job, stages: Stages, log: RemoteLedger) -> Dataset:
    """Table of `ListedTrack` -> tables of `FinishedSection`; lazy until it is iterated.

    Tasks and actors restart without end, which is Ray Data's default: `attempts` decides when to give up.
    """
    listed = _row_per_block(ray.data.from_arrow(_blocks(tracks)))  # a track per task
    probed = listed.map_batches(**_task(stages.probe, job, log))
    split = probed.map_batches(**_task(stages.split, job, log))
    dataset = _row_per_block(split, stages.split.most)  # a section per task
    dataset = dataset.map_batches(**_task(stages.cut, job, log))
    for infer in stages.infer:
        dataset = dataset.map_batches(**_pool(infer, job, log))
    return dataset.map_batches(**_task(stages.stitch, job, log))


def _blocks(tracks: pa.Table) -> list[pa.Table]:
    return [tracks.slice(first, TRACKS_PER_BLOCK) for first in range(0, tracks.num_rows, TRACKS_PER_BLOCK)]


def _row_per_block(dataset: Dataset, most: int | None = None) -> Dataset:
    """Each row as a block of its own; by `most` tasks at once, so that Ray makes one task of probe, split and
    this.

    Ray Data takes a whole CPU for that, and has no setting: beside pools that fill a node and a probe whose
    source does not answer, none would be free, and nothing would come after the probes.
    """
    rows: Any = dataset.repartition(target_num_rows_per_block=1)
    repartition = rows._logical_plan.dag
    repartition.ray_remote_args["num_cpus"] = PROBE_CPUS
    object.__setattr__(repartition, "compute", TaskPoolStrategy(most))
    return rows  # type: ignore[no-any-return]


def _task(stage: TaskStage, job: Job, log: RemoteLedger) -> dict[str, Any]:
    """The stage as arguments of `map_batches`."""
    return {
        "fn": named(stage.name, TaskRunner)(stage, log),
        "fn_kwargs": {"job": job},
        "batch_format": "pyarrow",
        "num_cpus": stage.cpus,
        "compute": TaskPoolStrategy(stage.most),
    }


def _pool(stage: PoolStage, job: Job, log: RemoteLedger) -> dict[str, Any]:
    """The stage as arguments of `map_batches`."""
    gpu = {"num_gpus": stage.gpus, "batch_size": stage.rows_per_call} if stage.gpus else {}
    return {
        "fn": named(stage.name, ActorRunner),
        "fn_constructor_kwargs": {"stage": stage, "job": job, "log": log},
        "batch_format": "pyarrow",
        "num_cpus": stage.cpus,
        "compute": ActorPoolStrategy(
            min_size=stage.actors,
            max_size=stage.max_actors,
            max_concurrent_calls_per_actor=stage.calls,
            enable_true_multi_threading=stage.calls > 1,
        ),
        **gpu,
    }


def named(name: str, runner: Runner) -> Runner:
    """`runner` under a stage's name: Ray names operators and processes after the class that they run."""
    return type(name, (runner,), {})  # type: ignore[return-value]


class TaskRunner:
    """A stage's work in a task, counted by `attempts`."""

    def __init__(self, stage: TaskStage, log: RemoteLedger):
        self._stage, self._log = stage, log

    def __call__(self, table: pa.Table, job: Job) -> pa.Table:
        def step(part: pa.Table) -> pa.Table:
            return self._stage.work(part, job, this_worker(job))

        stage = self._stage
        done = attempts.guard(table, stage.verb, self._log, step) if stage.verb else step(table)
        if stage.tells:
            self._log.add(stage.tells(done, job))
        return done


class ActorRunner:
    """A pool's stage in one of its actors, counted by `attempts` and by `metrics`."""

    def __init__(self, stage: PoolStage, job: Job, log: RemoteLedger):
        self._stage, self._log = stage, log
        actor_id = ray.get_runtime_context().get_actor_id() or ""
        with attempts.loading(stage.graph, actor_id, job, log):
            observe = partial(InferenceMetrics, job, stage.graph, log)
            self._step = stage.load(stage.graph, job, this_worker(job), observe)

    def __call__(self, chunks: pa.Table) -> pa.Table:
        return attempts.guard(chunks, self._stage.verb, self._log, self._step)


def run_finish(
    stage: FinishStage, sections: Sequence[FinishedSection], job: Job, log: RemoteLedger
) -> FinishedTrack:
    """The work of `finish` in a task, counted by `attempts`."""
    with attempts.guarded(sections, stage.verb, log) as those:
        return stage.work(those, job, this_worker(job))


def this_worker(job: Job) -> Worker:
    node = ray.get_runtime_context().get_node_id()
    return worker_of(job.cache, job.cache_bytes, node, job.store, job.limits)
