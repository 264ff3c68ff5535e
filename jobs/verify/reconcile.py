"""The tables alone: one row per track, all stems of each `ok` track, and no row of a stem without a track."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.output import tables
from jobs.pipeline.output.folder import OutputFolder
from jobs.pipeline.output.table_files import DamagedTable
from jobs.verify.name_hashes import contains, hash_names
from jobs.verify.problems import Kind, Problem, Problems
from separation.settings import Settings

TRACKS = ["track_id", "status", "finished_at", "run_id", "settings_sha256"]
TIMINGS = ["track_id", "stem", "uri", "bytes", "sha256"]


def read_pairs(
    folder: OutputFolder, damaged: Callable[[DamagedTable], None] = lambda error: None
) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """As `tables.read_named_pairs`; damaged files are left out, and `damaged` is told of each."""
    return tables.read_named_pairs(folder.uri, TRACKS, TIMINGS, folder.store, damaged=damaged)


def keys_of(folder: OutputFolder, timings: pa.Table) -> list[str]:
    """The key of each row's stem."""
    columns = (timings[name].to_pylist() for name in ("track_id", "stem", "uri"))
    return [folder.stem_key(*row) for row in zip(*columns, strict=True)]


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What the tables hold. Arrays are sorted hashes of names, each once: uint64."""

    ok: int  # tracks of the catalogue
    errors: int  # tracks of the catalogue
    pending: int  # tracks of the catalogue that the tables do not have
    unlisted: int  # tracks in the tables that the catalogue does not have
    repeated_tracks: np.ndarray  # ids with more than one row
    stems: np.ndarray  # keys of all stems of ok tracks
    repeated_stems: np.ndarray  # keys with more than one row

    @property
    def catalogue(self) -> int:
        return self.ok + self.errors + self.pending


def reconcile_tables(
    folder: OutputFolder, catalogue: pa.ChunkedArray, settings: Settings, problems: Problems
) -> Reconciled:
    """Counts the tracks of `catalogue`, an array of ids, in the tables; adds the problems of the tables.

    `settings` are those of run.json. If they do not say which stems a track should have, one is enough.
    """
    stems = settings.outputs
    digest = pa.scalar(settings.digest if settings.models else None, pa.string())
    ids, ok, keys = [_NO_HASHES], [np.empty(0, bool)], [_NO_HASHES]
    for name, tracks, timings in read_pairs(folder, lambda error: problems.add(damage(error))):
        is_ok = pc.equal(tracks["status"], "ok")
        ids.append(hash_names(tracks["track_id"].to_pylist()))
        ok.append(is_ok.to_numpy())
        owned = _is_owned(tracks, timings)
        keys.append(hash_names(_find_foreign(name, folder, timings.filter(owned), problems)))
        for row in timings.filter(pc.invert(owned)).to_pylist():
            problems.add(
                Problem(
                    Kind.ORPHAN_TIMING,
                    track_id=row["track_id"],
                    stem=row["stem"],
                    uri=row["uri"],
                    file=name,
                )
            )
        _find_untimed(name, tracks.filter(is_ok), timings, stems, problems)
        is_other = pc.fill_null(pc.not_equal(tracks["settings_sha256"], digest), False)  # null: not known
        for row in tracks.filter(pc.and_(is_ok, is_other)).to_pylist():
            found = f"those of run {row['run_id']}"
            problems.add(Problem(Kind.MIXED_SETTINGS, track_id=row["track_id"], found=found, file=name))
    all_ids, all_ok = np.concatenate(ids), np.concatenate(ok)
    known_ids, rows_of_track = np.unique(all_ids, return_counts=True)
    known_stems, rows_of_stem = np.unique(np.concatenate(keys), return_counts=True)
    wanted = hash_names(catalogue.to_pylist())
    is_known = contains(known_ids, wanted)
    for track in catalogue.filter(pa.array(~is_known, pa.bool_())).to_pylist():
        problems.add(Problem(Kind.PENDING, track_id=track))
    good = int(contains(np.unique(all_ids[all_ok]), wanted).sum())
    return Reconciled(
        ok=good,
        errors=int(is_known.sum()) - good,
        pending=len(wanted) - int(is_known.sum()),
        unlisted=int((~contains(np.sort(wanted), known_ids)).sum()),
        repeated_tracks=known_ids[rows_of_track > 1],
        stems=known_stems,
        repeated_stems=known_stems[rows_of_stem > 1],
    )


def damage(error: DamagedTable) -> Problem:
    file = error.uri.rpartition("/")[2]
    return Problem(Kind.DAMAGED_TABLE, uri=error.uri, found=error.reason, file=file)


_NO_HASHES = np.empty(0, np.uint64)


def owned_timings(folder: OutputFolder) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """For each file of the tables: its name, its tracks, and the rows of stems that its ok tracks own."""
    for name, tracks, timings in read_pairs(folder):
        yield name, tracks, timings.filter(_is_owned(tracks, timings))


def _is_owned(tracks: pa.Table, timings: pa.Table) -> pa.ChunkedArray:
    ok = tracks.filter(pc.equal(tracks["status"], "ok"))["track_id"]
    return pc.is_in(timings["track_id"], value_set=ok)


def _find_foreign(name: str, folder: OutputFolder, timings: pa.Table, problems: Problems) -> list[str]:
    """The keys of the stems; adds a problem for each that the tables name outside the output."""
    found = keys_of(folder, timings)
    for row in timings.filter(pa.array([not key for key in found], pa.bool_())).to_pylist():
        problems.add(
            Problem(Kind.FOREIGN_STEM, row["track_id"], row["stem"], row["uri"], "below stems/", file=name)
        )
    return [key for key in found if key]


def _find_untimed(name: str, ok: pa.Table, timings: pa.Table, stems: set[str], problems: Problems) -> None:
    rows = timings.filter(pc.is_in(timings["stem"], pa.array(sorted(stems)))) if stems else timings
    rows = rows.group_by("track_id").aggregate([("stem", "count_distinct")])
    enough = pc.greater_equal(rows["stem_count_distinct"], max(1, len(stems)))
    complete = rows.filter(enough)["track_id"]
    expected = f"rows of {', '.join(sorted(stems))}" if stems else "rows of its stems"
    for track in ok.filter(pc.invert(pc.is_in(ok["track_id"], value_set=complete)))["track_id"].to_pylist():
        problems.add(Problem(Kind.UNTIMED_TRACK, track_id=track, expected=expected, file=name))


def find_duplicates(folder: OutputFolder, reconciled: Reconciled, problems: Problems) -> None:
    """Names the tracks and files with more than one row; reads the tables again only if there are any."""
    if not len(reconciled.repeated_tracks) and not len(reconciled.repeated_stems):
        return
    owners: dict[str, set[str]] = {}  # key of a repeated stem -> its tracks
    files: dict[str, list[str]] = {}  # repeated track -> the file of each of its rows
    for name, tracks, timings in owned_timings(folder):
        ids = tracks["track_id"].to_pylist()
        for track in tracks.filter(_are_in(ids, reconciled.repeated_tracks))["track_id"].to_pylist():
            files.setdefault(track, []).append(name)
        keys = keys_of(folder, timings)
        repeated = contains(reconciled.repeated_stems, hash_names(keys))
        for key, track, is_repeated in zip(keys, timings["track_id"].to_pylist(), repeated, strict=True):
            if is_repeated:
                owners.setdefault(key, set()).add(track)
    for track, names in files.items():
        found = f"{len(names)} rows in {', '.join(sorted(set(names)))}"
        problems.add(Problem(Kind.DUPLICATE_TRACK, track_id=track, expected="1 row", found=found))
    for key, of in owners.items():
        if len(of) > 1:
            found = f"{len(of)} tracks: {min(of)}, …"
            problems.add(Problem(Kind.SHARED_STEM, uri=folder.stem_uri(key), found=found))
        elif not of <= files.keys():
            problems.add(Problem(Kind.DUPLICATE_TIMING, track_id=min(of), uri=folder.stem_uri(key)))


def _are_in(names: list[str], hashes: np.ndarray) -> pa.Array:
    return pa.array(contains(hashes, hash_names(names)), pa.bool_())
