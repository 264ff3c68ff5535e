"""Mends what verify found: `sweep` removes what belongs to no track, `repair` forgets damaged tracks."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.output import tables
from jobs.pipeline.output.folder import OutputFolder
from jobs.verify.problems import Kind, Problems
from jobs.verify.reconcile import read_pairs
from separation.store.filesystems import join
from separation.store.metadata import Upload

FILES = (Kind.ORPHAN_STEM, Kind.ORPHAN_PART)
ROWS = (Kind.ORPHAN_TIMING, Kind.DUPLICATE_TRACK, Kind.DUPLICATE_TIMING)
SWEPT = (*FILES, Kind.UNFINISHED_UPLOAD, *ROWS)
REPAIRED = (
    Kind.DAMAGED_TABLE,
    Kind.MISSING_STEM,
    Kind.WRONG_SIZE,
    Kind.DAMAGED_STEM,
    Kind.UNTIMED_TRACK,
    Kind.MIXED_SETTINGS,
    Kind.FOREIGN_STEM,
)


def sweep(folder: OutputFolder, problems: Problems) -> None:
    """Removes everything of the kinds SWEPT.

    Files go before rows: if it stops halfway, the next verify still finds the rows.
    """
    folder.store.remove(problem.uri for problem in problems.found(*FILES) if problem.uri)
    for problem in problems.found(Kind.UNFINISHED_UPLOAD):
        folder.store.end_upload(Upload(problem.uri or "", problem.upload_id or "", None))
    for name in sorted({problem.file or "" for problem in problems.found(Kind.ORPHAN_TIMING)}):
        orphans = [problem for problem in problems.found(Kind.ORPHAN_TIMING) if problem.file == name]
        ids = pa.array([problem.track_id for problem in orphans], pa.string())
        tables.rewrite(folder.uri, "timings", name, _not_of(ids), folder.store)
    repeated = {
        problem.track_id or "" for problem in problems.found(Kind.DUPLICATE_TRACK, Kind.DUPLICATE_TIMING)
    }
    if repeated:
        _keep_one_row(folder, repeated)


def repair(folder: OutputFolder, problems: Problems) -> None:
    """Removes the rows of the tracks of the kinds REPAIRED; the next run writes their stems again.

    A damaged file of the tables is removed with its twin.
    """
    files = {problem.file for problem in problems.found(Kind.DAMAGED_TABLE)}
    folder.store.remove(
        join(folder.uri, f"{table}/{file}") for file in files for table in ("timings", "tracks")
    )
    damaged = sorted({problem.track_id or "" for problem in problems.found(*REPAIRED)})
    tables.forget(folder.uri, pa.chunked_array([pa.array(damaged, pa.string())]), folder.store)


def _not_of(ids: pa.Array) -> Callable[[pa.Table], pa.Array]:
    return lambda rows: pc.invert(pc.is_in(rows["track_id"], value_set=ids))


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A row of a track that has several. The greatest stays: ok, with most stems, then the newest."""

    is_ok: bool
    stems: int  # rows of `timings` in the same file
    finished_at: datetime
    file: str
    index: int  # of the row in its file


def _keep_one_row(folder: OutputFolder, repeated: set[str]) -> None:
    best: dict[str, Candidate] = {}
    files = set()
    for track, candidate in _candidates(folder, repeated):
        best[track] = max(best.get(track, candidate), candidate)
        files.add(candidate.file)
    for file in sorted(files):

        def keep_track(rows: pa.Table, file: str = file) -> pa.Array:
            return pa.array(
                [
                    track not in repeated or (best[track].file, best[track].index) == (file, index)
                    for index, track in enumerate(rows["track_id"].to_pylist())
                ],
                pa.bool_(),
            )

        def keep_timing(rows: pa.Table, file: str = file) -> pa.Array:
            stems = list(zip(rows["track_id"].to_pylist(), rows["stem"].to_pylist(), strict=True))
            last = {stem: index for index, stem in enumerate(stems)}
            return pa.array(
                [
                    stem[0] not in repeated or (best[stem[0]].file == file and last[stem] == index)
                    for index, stem in enumerate(stems)
                ],
                pa.bool_(),
            )

        tables.rewrite(folder.uri, "timings", file, keep_timing, folder.store)
        tables.rewrite(folder.uri, "tracks", file, keep_track, folder.store)


def _candidates(folder: OutputFolder, repeated: set[str]) -> Iterator[tuple[str, Candidate]]:
    for file, tracks, timings in read_pairs(folder):
        stems = Counter(timings["track_id"].to_pylist())
        for index, row in enumerate(tracks.to_pylist()):
            if (track := row["track_id"]) in repeated:
                yield track, Candidate(row["status"] == "ok", stems[track], row["finished_at"], file, index)
