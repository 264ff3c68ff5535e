"""The tables at the output: each finished track, and what it cost; a row in `tracks` is the commit.

Each run writes numbered files `tracks/<run_id>-00000.parquet`, each with a twin of the same name in
`timings/`. The last one is rewritten with every few rows; a full one is never touched again. The twin in
`timings` is written first, so that a track in `tracks` has all of its timings.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline import schema
from jobs.pipeline.arrow import Row, to_row
from jobs.pipeline.output.table_files import (
    DamagedTable,
    list_names,
    list_uris,
    put,
    read,
    read_if_there,
    replace_file,
    schema_of,
)
from jobs.pipeline.records import FinishedTrack, StemResult, Track
from separation.store.filesystems import join
from separation.store.objects import Store
from separation.store.redact import without_credentials

ROWS_PER_FILE = 5_000  # tracks: about 0.5 MB, the most that rewriting the last file costs
PAIRS_AHEAD = 8  # of at most 1 MB a file: an object store answers slowly, but many at once
FLUSH_S = 1.0  # of finished work that a killed driver repeats at most
T = TypeVar("T")


def report_damage(error: DamagedTable) -> None:
    """What to do about a damaged file where nothing can be left out."""
    raise error


def track_row(run_id: str, finished: FinishedTrack, sample_rate: int, settings: str | None = None) -> Row:
    """A finished track's row of `tracks`; `sample_rate` is the models' in Hz, `settings` their digest."""
    track = finished.track
    columns = to_row(replace(finished, work=replace(finished.work, stems=()))) | {
        "run_id": run_id,
        "uri": without_credentials(track.uri),
        "status": track.status,
        "duration_s": track.measured and track.length / sample_rate,
        "settings_sha256": settings,
    }
    return {name: columns[name] for name in schema.TRACKS.names}


def timing_rows(run_id: str, finished: FinishedTrack, sample_rate: int) -> list[Row]:
    """A finished track's rows of `timings`, one per stem; none for a track in error."""
    track = finished.track
    return (
        []
        if track.failure
        else [_timing_row(run_id, track, stem, sample_rate) for stem in finished.work.stems]
    )


def _timing_row(run_id: str, track: Track, stem: StemResult, sample_rate: int) -> Row:
    infer_s = stem.run.infer_s if stem.run else None
    columns = to_row(stem) | {
        "run_id": run_id,
        "track_id": track.track_id,
        "batches": stem.run and round(stem.run.batches),
        "x_realtime": track.length / sample_rate / infer_s if infer_s else None,
    }
    return {name: columns[name] for name in schema.TIMINGS.names}


class TableWriter:
    """Commits finished tracks within `FLUSH_S`, from a thread of its own; use as a context.

    An error of that thread is raised at the next `add` or at the end. `check` is called before each write,
    and raises if this run may no longer write. `settings` is the digest of the run's.
    """

    def __init__(
        self,
        output: str,
        run_id: str,
        store: Store,
        sample_rate: int,
        check: Callable[[], None] = lambda: None,
        settings: str | None = None,
    ):
        self.output, self.run_id, self._store, self._check = output, run_id, store, check
        self._sample_rate, self._settings = sample_rate, settings
        self._new: list[FinishedTrack] = []  # not yet in the tables below
        self._tracks = schema.TRACKS.empty_table()  # of the last file
        self._timings = schema.TIMINGS.empty_table()
        self._number = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._flush_regularly, name="tables", daemon=True)

    def __enter__(self) -> "TableWriter":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        if exception[0] is None or self._error is None:
            self._flush()

    def add(self, track: FinishedTrack) -> None:
        """One row of `tracks` and its rows of `timings`."""
        if self._error:
            raise self._error
        with self._lock:
            self._new.append(replace(track, finished_at=datetime.now(UTC)))

    def _flush_regularly(self) -> None:
        while not self._stop.wait(FLUSH_S) and not self._error:
            try:
                self._flush()
            except Exception as error:
                self._error = error

    def _flush(self) -> None:
        with self._lock:
            new, self._new = self._new, []
        if not new:
            return
        self._check()
        tracks = [track_row(self.run_id, track, self._sample_rate, self._settings) for track in new]
        timings = [timing for track in new for timing in timing_rows(self.run_id, track, self._sample_rate)]
        self._tracks = pa.concat_tables([self._tracks, pa.Table.from_pylist(tracks, schema.TRACKS)])
        self._timings = pa.concat_tables([self._timings, pa.Table.from_pylist(timings, schema.TIMINGS)])
        name = f"{self.run_id}-{self._number:05}.parquet"
        put(join(self.output, f"timings/{name}"), self._timings, self._store)
        put(join(self.output, f"tracks/{name}"), self._tracks, self._store)
        if self._tracks.num_rows >= ROWS_PER_FILE:
            self._tracks, self._timings = schema.TRACKS.empty_table(), schema.TIMINGS.empty_table()
            self._number += 1


def read_table(output: str, table: str, store: Store, columns: list[str] | None = None) -> pa.Table:
    """All rows of `tracks` or `timings` at `output`; 16 files are read at once."""
    wanted = schema_of(table, columns)
    with ThreadPoolExecutor(16) as pool:
        stored = pool.map(lambda uri: read(uri, store, wanted), list_uris(output, table, store))
        return pa.concat_tables([wanted.empty_table(), *stored])


def read_pairs(
    output: str,
    tracks: list[str],
    timings: list[str],
    store: Store,
    damaged: Callable[[DamagedTable], None] = report_damage,
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """These columns of each file of `tracks` and of its twin in `timings`; `PAIRS_AHEAD` are in memory."""
    names = list_names(output, "tracks", store)
    for _, *pair in read_named_pairs(output, tracks, timings, store, names, damaged):
        yield pair[0], pair[1]


def read_named_pairs(
    output: str,
    tracks: list[str],
    timings: list[str],
    store: Store,
    names: Iterable[str] | None = None,
    damaged: Callable[[DamagedTable], None] = report_damage,
) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """As `read_pairs`, each with the name of the two files; by default every name that either table has.

    A running job may remove a file between listing and reading; it then counts as empty. Two files of which
    one is damaged are left out if `damaged`, which is told of it, does not raise.
    """
    if names is None:
        names = sorted({*list_names(output, "tracks", store), *list_names(output, "timings", store)})

    def read_pair(name: str) -> tuple[str, pa.Table, pa.Table]:
        return (
            name,
            read_if_there(join(output, f"tracks/{name}"), schema_of("tracks", tracks), store),
            read_if_there(join(output, f"timings/{name}"), schema_of("timings", timings), store),
        )

    for reading in _ahead(read_pair, names):
        try:
            yield reading.result()
        except DamagedTable as error:
            damaged(error)


def _ahead(read: Callable[[str], T], names: Iterable[str]) -> Iterator[Future[T]]:
    """`read(name)` of each of `names`, of which `PAIRS_AHEAD` are under way."""
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(PAIRS_AHEAD) as pool:
        for name in names:
            waiting.append(pool.submit(read, name))
            if len(waiting) > PAIRS_AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()


def last_written(output: str, store: Store) -> datetime | None:
    """When a file of the tables was last written; None if there is none, or the store does not say."""
    files = [file for table in ("tracks", "timings") for file in store.list_files(join(output, table))]
    return max((file.modified for file in files if file.modified), default=None)


def rewrite(output: str, table: str, name: str, keep: Callable[[pa.Table], pa.Array], store: Store) -> int:
    """Removes the rows of a file for which `keep` is false; returns how many."""
    uri = join(output, f"{table}/{name}")
    stored = read_if_there(uri, schema_of(table), store)
    kept = stored.filter(keep(stored))
    if kept.num_rows < stored.num_rows:
        replace_file(uri, kept, store)
    return int(stored.num_rows - kept.num_rows)


def forget(output: str, forgotten: pa.ChunkedArray, store: Store) -> None:
    """Removes the rows of these track ids, so that a track that is done again has one row."""
    if not len(forgotten):
        return
    for table in ("tracks", "timings"):
        for uri in list_uris(output, table, store):
            stored = read(uri, store, schema_of(table))
            kept = stored.filter(pc.invert(pc.is_in(stored["track_id"], value_set=forgotten)))
            if kept.num_rows < stored.num_rows:
                replace_file(uri, kept, store)


def drop_uncommitted(output: str, store: Store) -> None:
    """Removes timings that a killed driver wrote without the rows of their tracks.

    Only the last file of a run can hold such rows; runs are few.
    """
    last = {uri.rpartition("-")[0]: uri for uri in sorted(list_uris(output, "timings", store))}
    committed = {uri.rpartition("/")[2]: uri for uri in list_uris(output, "tracks", store)}
    for uri in last.values():
        timings = read(uri, store, schema.TIMINGS)
        tracks = committed.get(uri.rpartition("/")[2])
        only_ids = schema_of("tracks", ["track_id"])
        ids = read(tracks, store, only_ids)["track_id"] if tracks else pa.array([], pa.string())
        kept = timings.filter(pc.is_in(timings["track_id"], value_set=ids))
        if kept.num_rows < timings.num_rows:
            replace_file(uri, kept, store)
