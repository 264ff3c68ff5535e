"""The driver's loop: small rows come in, tracks of several sections are finished, tables are kept."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
from rich.console import Console

from jobs.pipeline.arrow import Row
from jobs.pipeline.dataset import Road
from jobs.pipeline.job import Job
from jobs.pipeline.metrics import TrackMetrics
from jobs.pipeline.output.tables import TableWriter
from jobs.pipeline.progress import Counts, Progress
from separation.errors import SeparationError
from separation.store.redact import shown

FINISHING = 8  # long tracks joined at once; each is a task on a worker


class TracksMissing(SeparationError):
    """The pipeline ended without a row for some tracks: never to be taken for done."""

    def __init__(self, count: int, example: str):
        super().__init__(count, example)
        self.count, self.example = count, example

    def __str__(self) -> str:
        return (
            f"{self.count} tracks went in and did not come out, {shown(self.example)} among them; run again"
        )


def run(
    tracks: pa.Table,
    job: Job,
    console: Console,
    road: Road | None = None,
    check: Callable[[], None] = lambda: None,
) -> Counts:
    """Separates `tracks` (`schema.LISTED`); each is in the tables when this returns.

    `road` is where the work is done: on Ray unless a test gives another. `check` raises what forbids to
    write to the tables.
    """
    road = road or Road(job)
    missing = set(tracks["track_id"].to_pylist())
    with (
        TableWriter(job.output, job.run_id, check) as tables,
        Progress(tracks.num_rows, console) as progress,
        ThreadPoolExecutor(FINISHING) as pool,
    ):
        finisher = Finisher(pool, road.finish)
        metrics = TrackMetrics(job.run_id)

        def commit(row: Row) -> None:
            tables.add(row)
            progress.add(row)
            metrics.add(row, progress.counts.left)
            missing.discard(row["track_id"])

        for section in road.sections(tracks):
            if section["sections"] == 1:
                commit(section)
            else:
                finisher.add(section)
            for row in finisher.done():
                commit(row)
        for row in finisher.rest():
            commit(row)
    if missing:
        raise TracksMissing(len(missing), min(missing))
    return progress.counts


class Finisher:
    """Gathers the sections of long tracks, and finishes each track once it has all of them."""

    def __init__(self, pool: ThreadPoolExecutor, finish: Callable[[list[Row]], Row]):
        self._pool, self._finish = pool, finish
        self._waiting: dict[str, dict[int, Row]] = {}
        self._running: list[Future[Row]] = []

    def add(self, section: Row) -> None:
        sections = self._waiting.setdefault(section["track_id"], {})
        sections[section["section"]] = section
        if len(sections) == section["sections"]:
            rows = list(self._waiting.pop(section["track_id"]).values())
            self._running.append(self._pool.submit(self._finish, rows))

    def done(self) -> list[Row]:
        """The tracks finished since the last call; raises what stopped one."""
        ready = [future for future in self._running if future.done()]
        self._running = [future for future in self._running if future not in ready]
        return [future.result() for future in ready]

    def rest(self) -> list[Row]:
        """Waits for all that has begun."""
        rows = [future.result() for future in self._running]
        self._running = []
        return rows
