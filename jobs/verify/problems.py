"""What can be wrong with an output, and the table of what was found: `verify/<time>.parquet`."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from separation.errors import ExplainedEnum
from separation.store.disk.full_disk import room_in
from separation.store.filesystems import join
from separation.store.objects import Store

BATCH = 10_000  # problems in memory


class Kind(ExplainedEnum):
    """A kind of problem; `sweep` says which of them `--sweep` and `--repair` mend."""

    PENDING = "pending", "The catalogue has the track, the tables do not have it yet."
    DAMAGED_TABLE = "damaged_table", "A file of the tables cannot be read: its tracks and stems are unknown."
    MISSING_STEM = "missing_stem", "The tables name the file, and it is not there."
    WRONG_SIZE = "wrong_size", "The file does not have the recorded size."
    DAMAGED_STEM = "damaged_stem", "The file does not have the recorded sha256."
    FOREIGN_STEM = "foreign_stem", "The tables, or a link, name a file outside the output: it is not read."
    UNTIMED_TRACK = "untimed_track", "The track is `ok`, without a row in `timings` for each of its stems."
    DUPLICATE_TRACK = "duplicate_track", "The track has several rows in `tracks`."
    DUPLICATE_TIMING = "duplicate_timing", "The file has several rows of one track in `timings`."
    SHARED_STEM = "shared_stem", "The file has rows of several tracks in `timings`."
    MIXED_SETTINGS = (
        "mixed_settings",
        "The track was made with other models, precision, engine or options than `run.json` names.",
    )
    ORPHAN_TIMING = "orphan_timing", "A row in `timings` whose track is not `ok` in `tracks`."
    ORPHAN_STEM = "orphan_stem", "A file below `stems/` that belongs to no `ok` track."
    ORPHAN_PART = "orphan_part", "A section below `parts/` whose track is done or unknown."
    UNFINISHED_UPLOAD = "unfinished_upload", "A multipart upload that was begun and never completed."


@dataclass(frozen=True, slots=True)
class Problem:
    """A row of the table; what does not apply is None."""

    kind: Kind
    track_id: str | None = None
    stem: str | None = None
    uri: str | None = None
    expected: str | None = None
    found: str | None = None
    file: str | None = None  # the file of the tables that has the row
    upload_id: str | None = None
    modified: datetime | None = None


SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("track_id", pa.string()),
        ("stem", pa.string()),
        ("uri", pa.string()),
        ("expected", pa.string()),
        ("found", pa.string()),
        ("file", pa.string()),
        ("upload_id", pa.string()),
        ("modified", pa.timestamp("us", tz="UTC")),
    ]
)


class Problems:
    """Collects problems in a local file, so that memory does not grow with their number. A context manager.

    A file modified after `since` may belong to a running job: it counts as `recent`, not as a problem.
    """

    def __init__(self, since: datetime):
        self.since = since
        self.counts: Counter[Kind] = Counter()
        self.recent: Counter[Kind] = Counter()
        self.examples: dict[Kind, Problem] = {}  # the first of each kind
        self._batch: list[Problem] = []
        self._folder = tempfile.TemporaryDirectory(prefix="stemfleet-verify-")
        self._path = Path(self._folder.name) / "problems.parquet"
        self._writer: pq.ParquetWriter | None = pq.ParquetWriter(self._path, SCHEMA)

    def __enter__(self) -> "Problems":
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        self._folder.cleanup()

    def add(self, problem: Problem) -> None:
        if problem.modified is not None and problem.modified.astimezone(UTC) > self.since:
            self.recent[problem.kind] += 1
            return
        self.examples.setdefault(problem.kind, problem)
        self.counts[problem.kind] += 1
        self._batch.append(problem)
        if len(self._batch) >= BATCH:
            self._write()

    def found(self, *kinds: Kind) -> Iterator[Problem]:
        """All problems of these kinds; nothing can be added afterwards."""
        self._close()
        for batch in pq.ParquetFile(self._path).iter_batches(BATCH):
            for row in batch.to_pylist():
                if row["kind"] in kinds:
                    problem = Problem(**row)
                    yield replace(problem, kind=Kind(problem.kind))

    def publish(self, output: str, store: Store) -> str:
        """Writes the table to the output and returns its URI."""
        self._close()
        uri = join(output, f"verify/{datetime.now(UTC):%Y%m%dT%H%M%S}.parquet")
        store.put_file(self._path, uri)
        return uri

    def _write(self) -> None:
        if self._writer and self._batch:
            rows = [asdict(problem) | {"kind": str(problem.kind)} for problem in self._batch]
            with room_in(self._path.parent):
                self._writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            self._batch = []

    def _close(self) -> None:
        self._write()
        if self._writer:
            with room_in(self._path.parent):
                self._writer.close()
            self._writer = None
