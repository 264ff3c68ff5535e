"""Removes what verify found to be nobody's; and, as `repair`, makes the next run do damaged tracks again."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.output import tables
from jobs.verify.problems import Kind, Problems
from jobs.verify.reconcile import TIMINGS, TRACKS, Place
from separation.store.objects import Upload, end_upload, remove

FILES = (Kind.ORPHAN_STEM, Kind.ORPHAN_PART)
ROWS = (Kind.ORPHAN_TIMING, Kind.DUPLICATE_TRACK, Kind.DUPLICATE_TIMING)
SWEPT = (*FILES, Kind.UNFINISHED_UPLOAD, *ROWS)
REPAIRED = (Kind.MISSING_STEM, Kind.WRONG_SIZE, Kind.DAMAGED_STEM, Kind.UNTIMED_TRACK)


def sweep(place: Place, problems: Problems) -> None:
    """Everything of the kinds SWEPT. Files first: a row that is still there can only name what is."""
    remove(row["uri"] for row in problems.rows(*FILES))
    for row in problems.rows(Kind.UNFINISHED_UPLOAD):
        end_upload(Upload(row["uri"], row["upload_id"] or "", None))
    for name in sorted({row["file"] for row in problems.rows(Kind.ORPHAN_TIMING)}):
        orphans = [row for row in problems.rows(Kind.ORPHAN_TIMING) if row["file"] == name]
        ids = pa.array([row["track_id"] for row in orphans], pa.string())
        tables.rewrite(place.output, "timings", name, _not_of(ids))
    twice = {row["track_id"] for row in problems.rows(Kind.DUPLICATE_TRACK, Kind.DUPLICATE_TIMING)}
    if twice:
        _keep_one(place.output, twice)


def repair(place: Place, problems: Problems) -> None:
    """Forgets the tracks of the kinds REPAIRED; their stems are written anew by the next run."""
    damaged = sorted({row["track_id"] for row in problems.rows(*REPAIRED)})
    tables.forget(place.output, pa.chunked_array([pa.array(damaged, pa.string())]))


def _not_of(ids: pa.Array) -> Any:
    return lambda rows: pc.invert(pc.is_in(rows["track_id"], value_set=ids))


def _keep_one(output: str, twice: set[str]) -> None:
    """Of each track's rows the newest stays, one that is ok and has its stems before others."""
    best: dict[str, tuple[Any, ...]] = {}
    for name, track, at, row, stems in _rows_of(output, twice):
        rank = (row["status"] == "ok", stems, row["finished_at"], name, at)
        best[track] = max(best.get(track, rank), rank)
    names = {name for name, *_ in _rows_of(output, twice)}
    for name in sorted(names):

        def kept_track(rows: pa.Table, name: str = name) -> pa.Array:
            ids = rows["track_id"].to_pylist()
            return pa.array(
                [i not in twice or best[i][3:] == (name, at) for at, i in enumerate(ids)], pa.bool_()
            )

        def kept_timing(rows: pa.Table, name: str = name) -> pa.Array:
            pairs = list(zip(rows["track_id"].to_pylist(), rows["stem"].to_pylist(), strict=True))
            last = {pair: at for at, pair in enumerate(pairs)}
            return pa.array(
                [
                    pair[0] not in twice or (best[pair[0]][3] == name and last[pair] == at)
                    for at, pair in enumerate(pairs)
                ],
                pa.bool_(),
            )

        tables.rewrite(output, "timings", name, kept_timing)
        tables.rewrite(output, "tracks", name, kept_track)


def _rows_of(output: str, wanted: set[str]) -> Iterator[tuple[str, str, int, dict[str, Any], int]]:
    """File, track, the row's place in the file, the row, and how many stems the file has of the track."""
    for name, tracks, timings in tables.read_named_pairs(output, TRACKS, TIMINGS):
        stems = Counter(timings["track_id"].to_pylist())
        for at, row in enumerate(tracks.to_pylist()):
            if row["track_id"] in wanted:
                yield name, row["track_id"], at, row, stems[row["track_id"]]
