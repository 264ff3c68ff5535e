"""The driver's loop: takes finished sections, has long tracks finished, and keeps the tables."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Protocol

import pyarrow as pa

from jobs.pipeline.dataset import RayPipeline
from jobs.pipeline.job import Job
from jobs.pipeline.metrics import TrackMetrics
from jobs.pipeline.output.paths import parts
from jobs.pipeline.output.tables import TableWriter
from jobs.pipeline.progress import Counts, Events, Live, Progress
from jobs.pipeline.records import FinishedSection, FinishedTrack, merge
from separation.console import counted
from separation.errors import SeparationError
from separation.settings import Settings
from separation.store.redact import shown

HOSTS_NAMED = 10  # in the sentence about sources that could not be reached
FINISHING = 8  # long tracks joined at once; each is a task on a worker


class Pipeline(Protocol):
    """What does the work on tracks: `RayPipeline`, or one process in a test."""

    def sections(self, tracks: pa.Table) -> Iterator[FinishedSection]:
        """The sections of a table of `ListedTrack`, as they are finished."""

    def finish(self, sections: Sequence[FinishedSection]) -> FinishedTrack:
        """A track from all of its sections; called by several threads."""

    def live(self) -> Live:
        """What is inferred and known of tracks that need not be finished."""


class TracksMissing(SeparationError):
    """The pipeline ended without a result for some tracks, which must not be taken for done."""

    def __init__(self, count: int, example: str):
        super().__init__(count, example)
        self.count, self.example = count, example

    def __str__(self) -> str:
        return (
            f"{self.count} tracks went in and did not come out, {shown(self.example)} among them; run again"
        )


class SourcesUnreachable(SeparationError):
    """Tracks that are still pending, as their sources' stores did not answer or refused."""

    def __init__(self, tracks_of_host: Mapping[str, int]):
        super().__init__(tracks_of_host)
        self.tracks_of_host = tracks_of_host

    def __str__(self) -> str:
        most = sorted(self.tracks_of_host.items(), key=lambda item: (-item[1], item[0]))
        named = ", ".join(f"{count} at {host}" for host, count in most[:HOSTS_NAMED])
        more = f" and {len(most) - HOSTS_NAMED} other hosts" if len(most) > HOSTS_NAMED else ""
        count = sum(self.tracks_of_host.values())
        return f"{counted(count, 'source')} could not be reached: {named}{more}; run again"


def run(
    tracks: pa.Table,
    job: Job,
    events: Events,
    pipeline: Pipeline | None = None,
    check: Callable[[], None] = lambda: None,
    counts: Counts | None = None,
) -> Counts:
    """Separates `tracks`, a table of `ListedTrack`; each is in the output's tables when this returns, but
    for those that it counts as unreachable.

    Works on Ray unless another `pipeline` is given. `check` raises if this run may no longer write to the
    tables. `counts`, where given, has been kept up to the moment when this is left by an exception.
    """
    counts = counts or Counts(tracks.num_rows)
    pipeline = pipeline or RayPipeline(job)
    missing = set(tracks["track_id"].to_pylist())
    with (
        TableWriter(
            job.output, job.run_id, job.store, job.sample_rate, check, Settings.of(job).digest
        ) as tables,
        Progress(counts, events, pipeline.live) as progress,
        ThreadPoolExecutor(FINISHING) as pool,
    ):
        finisher = Finisher(pool, partial(finish, pipeline, job))
        metrics = TrackMetrics(job.run_id, job.sample_rate)

        def commit(finished: FinishedTrack) -> None:
            track = finished.track
            missing.discard(track.track_id)
            if track.failure and track.failure.is_pending:
                check()
                progress.add_unreachable(track.uri, track.failure.error)
                return
            tables.add(finished)
            progress.add(None if track.failure else track.length / job.sample_rate)
            metrics.add(finished, progress.counts.left)

        for section in pipeline.sections(tracks):
            if section.section.sections == 1:
                commit(merge([section]))
            else:
                finisher.add(section)
            for track in finisher.done():
                commit(track)
        for track in finisher.rest():
            commit(track)
    if missing:
        raise TracksMissing(len(missing), min(missing))
    return counts


def finish(pipeline: Pipeline, job: Job, sections: Sequence[FinishedSection]) -> FinishedTrack:
    """A track from all of its sections, whose parts are removed once it is here; for several threads."""
    finished = pipeline.finish(sections)
    job.store.remove(parts(job, finished.track.track_id))
    return finished


class Finisher:
    """Gathers the sections of long tracks, and finishes each track once it has all of them."""

    def __init__(
        self, pool: ThreadPoolExecutor, finish: Callable[[Sequence[FinishedSection]], FinishedTrack]
    ):
        self._pool, self._finish = pool, finish
        self._waiting: dict[str, dict[int, FinishedSection]] = {}  # track id -> index -> section
        self._running: list[Future[FinishedTrack]] = []

    def add(self, section: FinishedSection) -> None:
        track_id = section.track.track_id
        sections = self._waiting.setdefault(track_id, {})
        sections[section.section.index] = section  # the same again if Ray repeated it
        if len(sections) == section.section.sections:
            whole = list(self._waiting.pop(track_id).values())
            self._running.append(self._pool.submit(self._finish, whole))

    def done(self) -> list[FinishedTrack]:
        """The tracks finished since the last call; raises what stopped one."""
        ready = [future for future in self._running if future.done()]
        self._running = [future for future in self._running if future not in ready]
        return [future.result() for future in ready]

    def rest(self) -> list[FinishedTrack]:
        """Waits for all that has begun."""
        tracks = [future.result() for future in self._running]
        self._running = []
        return tracks
