"""One timed run of the pipeline, with the processes of every machine of the cluster watched."""

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.data import DataContext
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.benchmark import accounting
from jobs.benchmark.process_usage import Usage, Watcher, session_of
from jobs.pipeline import ray_session
from jobs.pipeline.cost.summary import AccountRow
from jobs.pipeline.dataset import cluster_nodes
from jobs.pipeline.driver import SourcesUnreachable, run
from jobs.pipeline.job import Job
from jobs.pipeline.output import tables
from jobs.pipeline.output.run_state import RunLog
from jobs.pipeline.progress import Counts, Events
from jobs.pipeline.stages.separation import separation_stages
from separation.console import LineConsole
from separation.errors import SeparationError
from separation.program import ExitCode

START_LIMIT_S = 1200  # nodes may have to be bought first


class NothingToMeasure(SeparationError):
    """Every track was an error."""

    def __init__(self, output: str, example: str):
        super().__init__(output, example)
        self.output, self.example = output, example

    def __str__(self) -> str:
        return f"{self.output}: no track was separated; the first error: {self.example}"


@dataclass(frozen=True, slots=True)
class Trial:
    """What a run did and used; `work_s` of its `wall_s` are from the first probe to the last commit."""

    tracks: int
    failed: int
    audio_s: float
    wall_s: float
    work_s: float
    stages: list[AccountRow]
    usages: list[Usage]
    source_bytes: int
    stem_bytes: int
    devices: tuple[str, ...]  # as the sessions reported them
    device_s: float  # of cores or GPUs, held by inferences

    @property
    def x_realtime(self) -> float:
        return self.audio_s / self.work_s


class Watch:
    """A `Watcher` as an actor on a node. The watcher knows its own CPU time by this class's name."""

    def __init__(self, stages: Mapping[str, str], driver: int, driver_machine: str):
        pid = driver if socket.gethostname() == driver_machine else 0
        self._watcher = Watcher(stages, session_of(os.getppid()), pid)

    def begin(self) -> None:
        self._watcher.begin()

    def end(self) -> Usage:
        return self._watcher.end()


def machines() -> list[str]:
    """One node id per machine: several nodes of one machine share its cores, and are watched once."""
    found: dict[str, str] = {}
    for node in ray.nodes():
        if node["Alive"]:
            found.setdefault(node["NodeManagerHostname"], node["NodeID"])
    return list(found.values())


def start_watches(job: Job) -> list[Any]:
    """A `Watch` on every machine; Ray's handles have no types."""
    actor: Any = ray.remote(num_cpus=0)(Watch)
    titles = separation_stages(job).process_titles
    return [
        actor.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
            titles, os.getpid(), socket.gethostname()
        )
        for node in machines()
    ]


def trial(tracks: pa.Table, job: Job, arguments: dict[str, Any], console: LineConsole) -> Trial:
    """Separates `tracks` to `job.output`, which must be new."""
    watches = start_watches(job)
    arguments = arguments | {"output": job.output}
    ray.get([watch.begin.remote() for watch in watches])
    # Ray Data would probe while the pools still start: nothing would divide the start from the work.
    DataContext.get_current().wait_for_min_actors_s = START_LIMIT_S
    with RunLog(job, arguments, tracks.num_rows, cluster_nodes, ray_session.cause) as log:
        log.counts = counts = Counts(tracks.num_rows)
        began, clock = time.time(), time.perf_counter()
        run(tracks, job, Events(console), counts=counts)
        wall_s = time.perf_counter() - clock
        usages = ray.get([watch.end.remote() for watch in watches])
        for watch in watches:
            ray.kill(watch)
        log.exit_code = ExitCode.SOME_ERRORS if counts.failed else ExitCode.DONE
    if counts.unreachable:
        raise SourcesUnreachable(counts.unreachable)
    done, timings = (tables.read_table(job.output, table, job.store) for table in ("tracks", "timings"))
    if not counts.done:
        raise NothingToMeasure(job.output, done["error"][0].as_py())
    start_s = max(0.0, pc.min(done["started_at"]).as_py().timestamp() - began)
    end_s = max(0.0, began + wall_s - pc.max(done["finished_at"]).as_py().timestamp())
    phases = {"start": start_s, "work": wall_s - start_s - end_s, "end": end_s}
    stages = [
        *accounting.phases(phases),
        *accounting.cores(usages, done, timings, job.graphs),
        *accounting.waits(timings, phases["work"]),
    ]
    devices = sorted({name for name in timings["device"].to_pylist() if name})
    return Trial(
        tracks=counts.done,
        failed=counts.failed,
        audio_s=counts.audio_s,
        wall_s=wall_s,
        work_s=phases["work"],
        stages=stages,
        usages=usages,
        source_bytes=pc.sum(done["source_bytes"]).as_py() or 0,
        stem_bytes=pc.sum(timings["bytes"]).as_py() or 0,
        devices=tuple(devices),
        device_s=pc.sum(timings["device_s"]).as_py() or 0.0,
    )
