"""What can be wrong with an output, and the table of what was found: `verify/<id>.parquet`."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from separation.store.objects import join, put_file

ROWS_A_BATCH = 10_000


class Kind(StrEnum):
    """Whose mending is what: see `sweep`."""

    PENDING = "pending"  # in the catalogue, not yet in the tables
    MISSING_STEM = "missing_stem"  # the tables name it, and it is not there
    WRONG_SIZE = "wrong_size"  # its size is not the recorded one
    DAMAGED_STEM = "damaged_stem"  # its sha256 is not the recorded one
    UNTIMED_TRACK = "untimed_track"  # ok, without a row for each of its stems
    DUPLICATE_TRACK = "duplicate_track"  # in the tables more than once
    DUPLICATE_TIMING = "duplicate_timing"  # the same file in several rows of one track
    SHARED_STEM = "shared_stem"  # the same file in rows of several tracks
    ORPHAN_TIMING = "orphan_timing"  # a row of a track that is not ok in the tables
    ORPHAN_STEM = "orphan_stem"  # a file that no ok track owns
    ORPHAN_PART = "orphan_part"  # a section of a track that is done, or of none
    UNFINISHED_UPLOAD = "unfinished_upload"  # bytes of a file that never appeared


SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("track_id", pa.string()),
        ("stem", pa.string()),
        ("uri", pa.string()),
        ("expected", pa.string()),
        ("found", pa.string()),
        ("file", pa.string()),  # of the tables, that holds the row
        ("upload_id", pa.string()),
        ("modified", pa.timestamp("us", tz="UTC")),
    ]
)


class Problems:
    """Keeps what is found in a local file, so that memory does not grow with it; use as a context.

    What is younger than `since` may be the work of a job that runs: it is counted apart, and no problem.
    """

    def __init__(self, since: datetime):
        self.since = since
        self.counts: Counter[Kind] = Counter()
        self.young: Counter[Kind] = Counter()
        self.examples: dict[Kind, dict[str, Any]] = {}
        self._rows: list[dict[str, Any]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="stemfleet-verify-")
        self._path = Path(self._folder.name) / "problems.parquet"
        self._writer: pq.ParquetWriter | None = pq.ParquetWriter(self._path, SCHEMA)

    def __enter__(self) -> "Problems":
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()
        self._folder.cleanup()

    def add(self, kind: Kind, **columns: Any) -> None:
        modified = columns.get("modified")
        if modified is not None and modified.astimezone(UTC) > self.since:
            self.young[kind] += 1
            return
        row = {name: columns.get(name) for name in SCHEMA.names} | {"kind": str(kind)}
        self.examples.setdefault(kind, row)
        self.counts[kind] += 1
        self._rows.append(row)
        if len(self._rows) >= ROWS_A_BATCH:
            self._write()

    def rows(self, *kinds: Kind) -> Iterator[dict[str, Any]]:
        """All that was found of these kinds; nothing is added after it."""
        self._close()
        for batch in pq.ParquetFile(self._path).iter_batches(ROWS_A_BATCH):
            yield from (row for row in batch.to_pylist() if row["kind"] in kinds)

    def publish(self, output: str) -> str:
        """Writes the table to the output; returns where."""
        self._close()
        uri = join(output, f"verify/{datetime.now(UTC):%Y%m%dT%H%M%S}.parquet")
        put_file(self._path, uri)
        return uri

    def _write(self) -> None:
        if self._writer and self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
            self._rows = []

    def _close(self) -> None:
        self._write()
        if self._writer:
            self._writer.close()
            self._writer = None
