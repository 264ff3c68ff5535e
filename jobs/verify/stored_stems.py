"""The stored stems against the rows of the tables that name them: sizes from a listing, then the bytes.

A listing gives names and sizes, a thousand per request. Stems that it does not show are looked up one by
one, and hashes need every byte: both run as tasks on the cluster, a batch of stems each.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import ray

from jobs.pipeline.output.folder import OutputFolder
from jobs.verify.name_hashes import HASHES, contains, draw, hash_names
from jobs.verify.problems import Kind, Problem, Problems
from jobs.verify.reconcile import Reconciled, keys_of, owned_timings
from separation.store.disk.atomic_write import UNFINISHED
from separation.store.filesystems import join

LISTED_AT_ONCE = 100_000
STEMS_PER_TASK, BYTES_PER_TASK = 256, 4_000_000_000
THREADS = 4  # per task: stores answer slowly, but several requests at once
TASK_CPUS = 0.5  # small enough to be scheduled beside a job
NOT_LISTED = -1
ATTEMPTS = 2  # at a stem whose bytes are wrong: they may have been damaged in transfer


@dataclass(frozen=True, slots=True)
class Sample:
    """Which stems to read: a share of them or a number of them, drawn by `seed`."""

    seed: int
    rate: float | None = None
    count: int | None = None

    def limit(self, stems: np.ndarray) -> int:
        """A stem is in the sample if its number, by `draw`, is below this."""
        if self.rate is not None:
            return round(self.rate * HASHES)
        if self.count is None or self.count >= len(stems):
            return HASHES
        return int(np.sort(draw(stems, self.seed))[self.count])


@dataclass(frozen=True, slots=True)
class StemRow:
    """A row of `timings`: a stem as the tables describe it."""

    track_id: str
    stem: str
    uri: str  # where it is now
    bytes: int
    sha256: str
    file: str  # the file of the tables that has the row
    listed_bytes: int = NOT_LISTED

    def problem(self, kind: Kind, expected: str, found: str) -> Problem:
        return Problem(kind, self.track_id, self.stem, self.uri, expected, found, self.file)


@dataclass(frozen=True, slots=True)
class StemRead:
    row: StemRow
    bytes: int  # read in the last attempt
    problem: Problem | None


@dataclass
class Totals:
    stems: int = 0
    bytes: int = 0
    hidden: int = 0  # found by their URI although no listing showed them: listed names are not ours


def list_sizes(folder: OutputFolder, reconciled: Reconciled, problems: Problems) -> np.ndarray:
    """Sizes of the stored files in the order of `reconciled.stems`, NOT_LISTED where there is none: int64."""
    sizes = np.full(len(reconciled.stems), NOT_LISTED, np.int64)
    here = replace(folder, written_to=folder.uri)  # what it lists is there
    listing = folder.store.list_files(join(folder.uri, "stems"))
    while page := list(islice(listing, LISTED_AT_ONCE)):
        page = [file for file in page if not UNFINISHED.fullmatch(file.uri.rpartition("/")[2])]
        hashes = hash_names(here.key_below(file.uri) for file in page)
        known = contains(reconciled.stems, hashes)
        sizes[np.searchsorted(reconciled.stems, hashes[known])] = [
            file.bytes for file, is_known in zip(page, known, strict=True) if is_known
        ]
        for file, is_known in zip(page, known, strict=True):
            if not is_known:
                found = f"{file.bytes} bytes"
                problems.add(Problem(Kind.ORPHAN_STEM, uri=file.uri, found=found, modified=file.modified))
    return sizes


def check_stems(
    folder: OutputFolder,
    reconciled: Reconciled,
    sizes: np.ndarray,
    sample: Sample,
    problems: Problems,
    in_flight: int,
) -> Totals:
    """Compares every size, and the bytes of the sample, with the tables.

    Reads with Ray, at most `in_flight` tasks at once. Ray must be running if any stem is to be read.
    """
    totals = Totals()
    task = ray.remote(read_batch).options(num_cpus=TASK_CPUS)
    running: deque[ray.ObjectRef[list[StemRead]]] = deque()

    def collect() -> None:
        for done in ray.get(running.popleft()):
            totals.stems += 1
            totals.bytes += done.bytes
            if done.problem:
                problems.add(done.problem)
            elif done.row.listed_bytes == NOT_LISTED:
                totals.hidden += 1

    for batch in _batches(_to_read(folder, reconciled, sizes, sample, problems)):
        running.append(task.remote(batch, folder))
        if len(running) >= in_flight:
            collect()
    while running:
        collect()
    return totals


def _to_read(
    folder: OutputFolder, reconciled: Reconciled, sizes: np.ndarray, sample: Sample, problems: Problems
) -> Iterator[StemRow]:
    """The stems of the sample and those that were not listed; adds the problems that sizes show."""
    limit = sample.limit(reconciled.stems)
    for file, _, timings in owned_timings(folder):
        rows = timings.to_pylist()
        keys = keys_of(folder, timings)
        hashes = hash_names(keys)
        known = contains(reconciled.stems, hashes)  # not the rows that a running job has added since
        chosen = [int(number) < limit for number in draw(hashes, sample.seed)]
        indices = np.searchsorted(reconciled.stems, hashes)
        for row, key, index, is_known, is_chosen in zip(rows, keys, indices, known, chosen, strict=True):
            if not is_known:
                continue
            size = int(sizes[index])
            stem = StemRow(**row | {"uri": folder.stem_uri(key)}, file=file, listed_bytes=size)
            if stem.bytes is None or stem.sha256 is None:
                problems.add(stem.problem(Kind.DAMAGED_STEM, "its size and sha256 in the tables", "nothing"))
                continue
            if size not in (NOT_LISTED, stem.bytes):
                if folder.leads_out(stem.uri):
                    problems.add(foreign(stem))
                    continue
                problems.add(stem.problem(Kind.WRONG_SIZE, f"{stem.bytes} bytes", f"{size} bytes"))
            elif size == NOT_LISTED or is_chosen:
                yield stem


def foreign(stem: StemRow) -> Problem:
    return stem.problem(Kind.FOREIGN_STEM, "a file below stems/", "a link")


def _batches(stems: Iterator[StemRow]) -> Iterator[list[StemRow]]:
    batch: list[StemRow] = []
    size = 0
    for stem in stems:
        batch.append(stem)
        size += stem.bytes
        if len(batch) == STEMS_PER_TASK or size >= BYTES_PER_TASK:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_batch(stems: Sequence[StemRow], folder: OutputFolder) -> list[StemRead]:
    """Reads each stem and compares size and sha256 with its row."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda row: _read(row, folder), stems))


def _read(row: StemRow, folder: OutputFolder) -> StemRead:
    if folder.leads_out(row.uri):
        return StemRead(row, 0, foreign(row))
    size, problem = 0, None
    for _ in range(ATTEMPTS):
        try:
            size, sha256 = folder.store.digest(row.uri)
        except FileNotFoundError:
            problem = row.problem(Kind.MISSING_STEM, f"{row.bytes} bytes", "nothing")
            continue
        if size != row.bytes:
            problem = row.problem(Kind.WRONG_SIZE, f"{row.bytes} bytes", f"{size} bytes")
        elif sha256 != row.sha256:
            problem = row.problem(Kind.DAMAGED_STEM, f"sha256 {row.sha256}", f"sha256 {sha256}")
        else:
            return StemRead(row, size, None)
    return StemRead(row, size, problem)
