"""The tables alone: each track once, each ok track with its stems, each row of a stem with its track."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.output import tables
from jobs.verify.name_hashes import contains, marks
from jobs.verify.problems import Kind, Problems
from separation.store.objects import join

TRACKS = ["track_id", "status", "finished_at"]
TIMINGS = ["track_id", "stem", "uri", "bytes", "sha256"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an output's stems lie: at `output`, though the tables name the folder that a run wrote to."""

    output: str
    written_to: str

    def key(self, uri: str) -> str:
        """A stem's path below the folder of stems; the URI itself if it lies elsewhere."""
        path = path_of(uri)
        for root in (self.written_to, self.output):
            folder = join(path_of(root), "stems/")
            if path.startswith(folder):
                return path.removeprefix(folder)
        return uri

    def uri(self, key: str) -> str:
        """Where the stem with this key is read."""
        return key if "://" in key or key.startswith("/") else join(self.output, f"stems/{key}")


def path_of(uri: str) -> str:
    return uri.partition("://")[2] or uri


@dataclass(frozen=True, slots=True)
class Accounts:
    """Marks of names, sorted, each once."""

    done: np.ndarray  # of all tracks in the tables
    ok: int  # of the catalogue's
    errors: int  # of the catalogue's
    pending: int
    beside: int  # tracks in the tables that the catalogue does not name
    stems: np.ndarray  # of the keys of ok tracks' stems
    twice: np.ndarray  # of track ids that stand more than once
    shared: np.ndarray  # of keys that stand more than once

    @property
    def catalogue(self) -> int:
        return self.ok + self.errors + self.pending


def count(place: Place, catalogue: pa.ChunkedArray, stems: set[str] | None, problems: Problems) -> Accounts:
    """`catalogue` are its track ids; `stems` are those that each ok track should have, if known."""
    ids, ok, keys = [_NONE], [_NO], [_NONE]
    for name, tracks, timings in tables.read_named_pairs(place.output, TRACKS, TIMINGS):
        is_ok = pc.equal(tracks["status"], "ok")
        ids.append(marks(tracks["track_id"].to_pylist()))
        ok.append(is_ok.to_numpy())
        owned = _owned(tracks, timings)
        keys.append(marks(map(place.key, timings.filter(owned)["uri"].to_pylist())))
        for row in timings.filter(pc.invert(owned)).to_pylist():
            problems.add(
                Kind.ORPHAN_TIMING, track_id=row["track_id"], stem=row["stem"], uri=row["uri"], file=name
            )
        _find_untimed(name, tracks.filter(is_ok), timings, stems, problems)
    all_ids, all_ok = np.concatenate(ids), np.concatenate(ok)
    done, repeats = np.unique(all_ids, return_counts=True)
    stem_keys, stem_repeats = np.unique(np.concatenate(keys), return_counts=True)
    wanted = marks(catalogue.to_pylist())
    known = contains(done, wanted)
    for track in catalogue.filter(pa.array(~known, pa.bool_())).to_pylist():
        problems.add(Kind.PENDING, track_id=track)
    good = int(contains(np.unique(all_ids[all_ok]), wanted).sum())
    return Accounts(
        done=done,
        ok=good,
        errors=int(known.sum()) - good,
        pending=len(wanted) - int(known.sum()),
        beside=int((~contains(np.sort(wanted), done)).sum()),
        stems=stem_keys,
        twice=done[repeats > 1],
        shared=stem_keys[stem_repeats > 1],
    )


_NONE, _NO = np.empty(0, np.uint64), np.empty(0, bool)


def owned_timings(place: Place) -> Iterator[tuple[str, pa.Table, pa.Table]]:
    """Name of a file, its tracks, and the rows of stems that its ok tracks own."""
    for name, tracks, timings in tables.read_named_pairs(place.output, TRACKS, TIMINGS):
        yield name, tracks, timings.filter(_owned(tracks, timings))


def _owned(tracks: pa.Table, timings: pa.Table) -> pa.ChunkedArray:
    ok = tracks.filter(pc.equal(tracks["status"], "ok"))["track_id"]
    return pc.is_in(timings["track_id"], value_set=ok)


def _find_untimed(
    name: str, ok: pa.Table, timings: pa.Table, stems: set[str] | None, problems: Problems
) -> None:
    rows = timings if stems is None else timings.filter(pc.is_in(timings["stem"], pa.array(sorted(stems))))
    rows = rows.group_by("track_id").aggregate([("stem", "count_distinct")])
    enough = 1 if stems is None else len(stems)
    whole = rows.filter(pc.greater_equal(rows["stem_count_distinct"], enough))["track_id"]
    for track in ok.filter(pc.invert(pc.is_in(ok["track_id"], value_set=whole)))["track_id"].to_pylist():
        expected = "rows of its stems" if stems is None else f"rows of {', '.join(sorted(stems))}"
        problems.add(Kind.UNTIMED_TRACK, track_id=track, expected=expected, file=name)
