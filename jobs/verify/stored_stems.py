"""The stems that are stored, against the rows that own them: by a listing, then by their bytes.

A listing knows names and sizes at a thousand a request. What it does not show is asked for one by one, and
hashes take every byte: both are tasks on the cluster, a batch of stems each.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from jobs.verify.name_hashes import EVERY, contains, draw, marks
from jobs.verify.problems import Kind, Problems
from jobs.verify.reconcile import Accounts, Place, owned_timings
from separation.store.objects import UNFINISHED, digest, join, list_files

LISTED_AT_ONCE = 100_000
STEMS_A_TASK, BYTES_A_TASK = 256, 4_000_000_000
THREADS = 4  # of a task: a store answers slowly, but several at once
TASK_CPUS = 0.5  # so that it finds room beside a job
UNSEEN = -1
READINGS = 2  # of a stem whose bytes are wrong: they may have been damaged on their way

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """Which stems are read again: all whose drawn number is below a limit."""

    seed: int
    rate: float | None = None
    count: int | None = None

    def limit(self, stems: np.ndarray) -> int:
        if self.rate is not None:
            return round(self.rate * EVERY)
        if self.count is None or self.count >= len(stems):
            return EVERY
        return int(np.sort(draw(stems, self.seed))[self.count])


def list_stems(place: Place, accounts: Accounts, problems: Problems) -> np.ndarray:
    """Sizes of the stored files in the order of `accounts.stems`, UNSEEN where there is none: int64."""
    sizes = np.full(len(accounts.stems), UNSEEN, np.int64)
    there = Place(place.output, place.output)
    listing = list_files(join(place.output, "stems"))
    while page := list(islice(listing, LISTED_AT_ONCE)):
        page = [file for file in page if not UNFINISHED.fullmatch(file.uri.rpartition("/")[2])]
        found = marks(there.key(file.uri) for file in page)
        known = contains(accounts.stems, found)
        sizes[np.searchsorted(accounts.stems, found[known])] = [
            file.bytes for file, is_known in zip(page, known, strict=True) if is_known
        ]
        for file, is_known in zip(page, known, strict=True):
            if not is_known:
                problems.add(
                    Kind.ORPHAN_STEM, uri=file.uri, found=f"{file.bytes} bytes", modified=file.modified
                )
    return sizes


@dataclass
class Read:
    stems: int = 0
    bytes: int = 0
    elsewhere: int = 0  # there, though the listing did not show them: names are not what we take them for


def reread(
    place: Place, accounts: Accounts, sizes: np.ndarray, sample: Sample, problems: Problems, in_flight: int
) -> Read:
    """Compares every size, and the bytes of the sample, with the tables; needs Ray to read any."""
    read = Read()
    task = ray.remote(read_batch).options(num_cpus=TASK_CPUS)
    running: deque[ray.ObjectRef] = deque()

    def take() -> None:
        for row in ray.get(running.popleft()):
            read.stems += 1
            read.bytes += row["read"]
            if row["kind"]:
                problems.add(Kind(row["kind"]), **{name: row[name] for name in COLUMNS})
            elif row["seen"] == UNSEEN:
                read.elsewhere += 1

    for batch in _batches(_to_read(place, accounts, sizes, sample, problems)):
        running.append(task.remote(batch))
        if len(running) >= in_flight:
            take()
    while running:
        take()
    return read


COLUMNS = ("track_id", "stem", "uri", "expected", "found", "file")


def _to_read(
    place: Place, accounts: Accounts, sizes: np.ndarray, sample: Sample, problems: Problems
) -> Iterator[Row]:
    limit = sample.limit(accounts.stems)
    for name, _, timings in owned_timings(place):
        rows = timings.to_pylist()
        keys = [place.key(row["uri"]) for row in rows]
        found = marks(keys)
        known = contains(accounts.stems, found)  # not the rows that a running job has added since
        chosen = [int(number) < limit for number in draw(found, sample.seed)]
        for row, key, at, is_known, is_chosen in zip(
            rows, keys, np.searchsorted(accounts.stems, found), known, chosen, strict=True
        ):
            if not is_known:
                continue
            seen = int(sizes[at])
            row |= {"file": name, "uri": place.uri(key), "seen": seen}
            if seen not in (UNSEEN, row["bytes"]):
                problems.add(
                    Kind.WRONG_SIZE,
                    **{column: row.get(column) for column in COLUMNS}
                    | {"expected": f"{row['bytes']} bytes", "found": f"{seen} bytes"},
                )
            elif seen == UNSEEN or is_chosen:
                yield row


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += row["bytes"]
        if len(batch) == STEMS_A_TASK or size >= BYTES_A_TASK:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_batch(rows: list[Row]) -> list[Row]:
    """Each row with `kind` of what is wrong with its stem, "" if nothing is, and `read`, its bytes."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(_read, rows))


def _read(row: Row) -> Row:
    kind, size = "", 0
    for _ in range(READINGS):
        try:
            size, sha256 = digest(row["uri"])
        except FileNotFoundError:
            kind, expected, found = Kind.MISSING_STEM, f"{row['bytes']} bytes", "nothing"
            continue
        if size != row["bytes"]:
            kind, expected, found = Kind.WRONG_SIZE, f"{row['bytes']} bytes", f"{size} bytes"
        elif sha256 != row["sha256"]:
            kind, expected, found = Kind.DAMAGED_STEM, f"sha256 {row['sha256']}", f"sha256 {sha256}"
        else:
            return row | {"kind": "", "read": size, "expected": None, "found": None}
    return row | {"kind": str(kind), "read": size, "expected": expected, "found": found}


def find_doubles(place: Place, accounts: Accounts, problems: Problems) -> None:
    """Names the tracks and files that stand more than once; reads the tables only if there are any."""
    if not len(accounts.twice) and not len(accounts.shared):
        return
    owners: dict[str, set[str]] = {}
    found: dict[str, list[Row]] = {}
    for name, tracks, timings in owned_timings(place):
        for row in tracks.filter(_among(tracks["track_id"].to_pylist(), accounts.twice)).to_pylist():
            found.setdefault(row["track_id"], []).append(row | {"file": name})
        keys = [place.key(uri) for uri in timings["uri"].to_pylist()]
        shared = _among(keys, accounts.shared)
        for row in timings.filter(shared).to_pylist():
            owners.setdefault(place.key(row["uri"]), set()).add(row["track_id"])
    for track, rows in found.items():
        files = ", ".join(sorted({row["file"] for row in rows}))
        problems.add(
            Kind.DUPLICATE_TRACK, track_id=track, expected="1 row", found=f"{len(rows)} rows in {files}"
        )
    for key, tracks in owners.items():
        if len(tracks) > 1:
            problems.add(
                Kind.SHARED_STEM, uri=place.uri(key), found=f"{len(tracks)} tracks: {min(tracks)}, …"
            )
        elif not tracks <= found.keys():
            problems.add(Kind.DUPLICATE_TIMING, track_id=min(tracks), uri=place.uri(key))


def _among(names: list[str], wanted: np.ndarray) -> pa.Array:
    return pa.array(contains(wanted, marks(names)), pa.bool_())
