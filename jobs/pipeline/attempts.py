"""Which tracks kill the process that works on them: an error after `TRIES` deaths, not a loop.

Ray repeats the work of a dead process without end, as it must: spot nodes come and go. So each step
announces what it begins and what it has ended to one small actor beside the driver. Work that was begun
and not ended, on a node that is still there, is a death of the process alone: the track's fault, as far
as anyone can tell. A death with its node says nothing about the track and does not count.

When one of several tracks in a call killed it, each is tried alone the next time, so that the others do
not pay for it. The step of a track that has used its tries gets it as a row in error, which it passes on.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import groupby
from uuid import uuid4

import pyarrow as pa
import ray
from ray.actor import ActorHandle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.pipeline.arrow import Row, failed
from jobs.pipeline.job import Job
from separation.errors import ErrorKind, ModelError, TrackError
from separation.store.objects import join

TRIES = 3
Step = Callable[..., pa.Table]


class Attempts:
    """Begun and not ended, by what was tried: a few rows, since what has ended is forgotten."""

    def __init__(self, living_nodes: Callable[[], set[str]]):
        self._open: defaultdict[str, dict[str, str]] = defaultdict(dict)  # what -> attempt -> node
        self._living_nodes = living_nodes

    def begin(self, attempt: str, what: list[str], node: str) -> list[int]:
        """Notes the attempt; how often each of `what` has killed a process before."""
        deaths = [self._deaths(one, attempt) for one in what]
        for one in what:
            self._open[one][attempt] = node
        return deaths

    def end(self, attempt: str, what: list[str]) -> None:
        for one in what:
            self._open[one].pop(attempt, None)
            if not self._open[one]:
                del self._open[one]

    def _deaths(self, what: str, attempt: str) -> int:
        nodes = [node for other, node in self._open.get(what, {}).items() if other != attempt]
        if not nodes:
            return 0
        living = self._living_nodes()
        return sum(node in living for node in nodes)


def living_nodes() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


class Remote:
    """`Attempts` as an actor, from a task's or another actor's side."""

    def __init__(self, actor: ActorHandle):
        self._actor = actor

    def begin(self, attempt: str, what: list[str]) -> list[int]:
        return ray.get(self._actor.begin.remote(attempt, what, ray.get_runtime_context().get_node_id()))

    def end(self, attempt: str, what: list[str]) -> None:
        self._actor.end.remote(attempt, what)


def start() -> Remote:
    """The actor is on the driver's node: it is lost with the driver, or starts again and has forgotten."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    forever = {"max_restarts": -1, "max_task_retries": -1}
    actor = ray.remote(Attempts).options(num_cpus=0, scheduling_strategy=here, **forever)
    return Remote(actor.remote(living_nodes))


def guarded(step: Step, stage: str, attempts: Remote) -> Step:
    """`step` over a table of tracks, sections or chunks, without those that killed `TRIES` processes."""

    @wraps(step)
    def careful(table: pa.Table, job: Job) -> pa.Table:
        return guard(table, stage, attempts, lambda some: step(some, job))

    return careful


def guard(table: pa.Table, stage: str, attempts: Remote, step: Callable[[pa.Table], pa.Table]) -> pa.Table:
    parts = sections(table)
    with attempt(attempts, [work(stage, part) for part in parts]) as deaths:
        if not any(deaths):
            return step(table)
    done = []
    for part, died in zip(parts, deaths, strict=True):
        if died < TRIES:
            with attempt(attempts, [work(stage, part)]):
                done.append(step(part))
        else:
            done.append(step(in_error(part, stage, died)))
    return pa.concat_tables(done)


@contextmanager
def attempt(attempts: Remote, what: list[str]) -> Iterator[list[int]]:
    """Begins `what` and ends it, unless the process dies; gives the deaths before."""
    name = uuid4().hex
    deaths = attempts.begin(name, what)
    try:
        yield deaths
    finally:
        attempts.end(name, what)


@contextmanager
def loading(stem: str, job: Job, attempts: Remote) -> Iterator[None]:
    """A specialist that kills each process that loads it is a broken model: no track can be done."""
    what = f"load {ray.get_runtime_context().get_actor_id()}"
    with attempt(attempts, [what]) as (died,):
        if died >= TRIES:
            file = join(job.bag.uri, job.bag.specialists[stem].file)
            raise ModelError(file, f"the process that loads {stem} died {died} times")
        yield


def sections(table: pa.Table) -> list[pa.Table]:
    """The table cut where another track or section begins."""
    columns = [name for name in ("track_id", "section") if name in table.column_names]
    rows = enumerate(table.select(columns).to_pylist())
    groups = [list(group) for _, group in groupby(rows, lambda row: row[1])]
    return [table.slice(group[0][0], len(group)) for group in groups]


def work(stage: str, part: pa.Table) -> str:
    section = part["section"][0].as_py() if "section" in part.column_names else 0
    return f"{stage} {section} {part['track_id'][0].as_py()}"


def in_error(part: pa.Table, stage: str, died: int) -> pa.Table:
    error = crashed(part["uri"][0].as_py(), stage, died)
    for name, value in error.items():
        column = pa.array([value] * len(part), pa.string())
        if name in part.column_names:
            part = part.set_column(part.column_names.index(name), name, column)
        else:
            part = part.append_column(name, column)
    return part


def crashed(uri: str, stage: str, died: int) -> Row:
    """The columns of a row whose track killed `died` processes."""
    return failed(
        TrackError(uri, ErrorKind.CRASHED, f"the process died {died} times: at each try to {stage} it")
    )


def finish(step: Callable[[list[Row], Job], Row], rows: list[Row], job: Job, attempts: Remote) -> Row:
    """`step` over the sections of a track, without one that killed `TRIES` processes."""
    with attempt(attempts, [f"finish {rows[0]['track_id']}"]) as (died,):
        return step([rows[0] | crashed(rows[0]["uri"], "finish", died)] if died >= TRIES else rows, job)
