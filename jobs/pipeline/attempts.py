"""Finds tracks that kill the processes that work on them: an error after `TRIES` deaths instead of a loop.

Ray repeats the work of a dead process without end, as it must: spot nodes come and go. So each stage
announces what it begins and what it has ended to one small actor beside the driver. Work that was begun
and not ended, on a node that is still there, is a death of the process alone: the track's fault, as far
as anyone can tell. A death with its node says nothing about the track and does not count.

When one of several tracks in a call killed it, each is tried alone the next time, so that the others do
not pay for it. A track that has used its tries is passed on in error.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol
from uuid import uuid4

import pyarrow as pa

from jobs.pipeline.arrow import split_at_sections, with_failure
from jobs.pipeline.job import Job
from jobs.pipeline.records import Failure, FinishedSection
from separation.errors import ErrorKind, ModelError, TrackError
from separation.store.filesystems import join

TRIES = 3


class AttemptLog(Protocol):
    """What a process tells of its work: `work` is what it tries, `attempt` names the try."""

    def begin(self, attempt: str, work: list[str]) -> list[int]:
        """How often each of `work` has killed a process before."""

    def end(self, attempt: str, work: list[str]) -> None: ...


class Attempts:
    """Begun and not ended, by work: a few entries, since what has ended is forgotten."""

    def __init__(self, living_nodes: Callable[[], set[str]]):
        self._open: defaultdict[str, dict[str, str]] = defaultdict(dict)  # work -> attempt -> node
        self._living_nodes = living_nodes

    def begin(self, attempt: str, work: list[str], node: str) -> list[int]:
        """Notes the attempt; how often each of `work` has killed a process before."""
        deaths = [self._deaths(each, attempt) for each in work]
        for each in work:
            self._open[each][attempt] = node
        return deaths

    def end(self, attempt: str, work: list[str]) -> None:
        for each in work:
            self._open[each].pop(attempt, None)
            if not self._open[each]:
                del self._open[each]

    def _deaths(self, work: str, attempt: str) -> int:
        nodes = [node for other, node in self._open.get(work, {}).items() if other != attempt]
        if not nodes:
            return 0
        living = self._living_nodes()
        return sum(node in living for node in nodes)


def guard(table: pa.Table, verb: str, attempts: AttemptLog, step: Callable[[pa.Table], pa.Table]) -> pa.Table:
    """`step` over a table of tracks, sections or chunks; those that killed `TRIES` processes go in error."""
    parts = split_at_sections(table)
    with announced(attempts, [work_on(verb, part) for part in parts]) as deaths:
        if not any(deaths):
            return step(table)
    done = []
    for part, died in zip(parts, deaths, strict=True):
        if died < TRIES:
            with announced(attempts, [work_on(verb, part)]):
                done.append(step(part))
        else:
            uri = part["uri"][0].as_py()
            done.append(step(with_failure(part, Failure.of(crash(uri, verb, died)))))
    return pa.concat_tables(done)


@contextmanager
def guarded(
    sections: Sequence[FinishedSection], verb: str, attempts: AttemptLog
) -> Iterator[Sequence[FinishedSection]]:
    """As `guard`, for the finished sections of one track: gives those to work on."""
    first = sections[0].section
    with announced(attempts, [f"{verb} {first.track.track_id}"]) as (died,):
        if died < TRIES:
            yield sections
        else:
            failed = first.failed(crash(first.track.uri, verb, died))
            yield [replace(sections[0], section=failed)]


@contextmanager
def announced(attempts: AttemptLog, work: list[str]) -> Iterator[list[int]]:
    """Begins `work` and ends it, unless the process dies; gives the deaths before."""
    attempt = uuid4().hex
    deaths = attempts.begin(attempt, work)
    try:
        yield deaths
    finally:
        attempts.end(attempt, work)


@contextmanager
def loading(graph: str, actor_id: str, job: Job, attempts: AttemptLog) -> Iterator[None]:
    """A graph that kills each process that loads it is a broken model: no track can be done."""
    with announced(attempts, [f"load {actor_id}"]) as (died,):
        if died >= TRIES:
            file = join(job.bag.uri, job.bag.graphs[graph].file)
            raise ModelError(file, f"the process that loads {graph} died {died} times")
        yield


def work_on(verb: str, part: pa.Table) -> str:
    section = part["index"][0].as_py() if "index" in part.column_names else 0
    return f"{verb} {section} {part['track_id'][0].as_py()}"


def crash(uri: str, verb: str, died: int) -> TrackError:
    return TrackError(uri, ErrorKind.CRASHED, f"the process died {died} times: at each try to {verb} it")
