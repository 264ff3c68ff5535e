"""errors.csv: every track in error, for a spreadsheet or a script; it is written beside the page.

Names and sentences are untrusted. They stand as reports show them, on one line and without credentials, and
a cell that a spreadsheet would take for a formula begins with an apostrophe.
"""

import csv
import os
import re
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pyarrow as pa
import pyarrow.compute as pc

from separation.store.disk.full_disk import room_in
from separation.store.objects import Store
from separation.store.redact import shown

NAME = "errors.csv"
COLUMNS = ("track_id", "uri", "error_kind", "error", "run_id", "finished_at")
# OWASP's list for CSV injection; `shown` leaves no tab and no line break.
FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]")


class ErrorsFile:
    """Collects tracks in error in a local file, so that memory does not grow with their number. A context."""

    def __init__(self) -> None:
        self.tracks = 0

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="stemfleet-report-")
        self._path = Path(self._folder.name) / NAME
        # With its byte order mark, without which Excel takes UTF-8 for a code page.
        self._file: IO[str] = self._path.open("w", encoding="utf-8-sig", newline="")
        self._writer = csv.writer(self._file, quoting=csv.QUOTE_ALL)
        self._writer.writerow(COLUMNS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._folder.cleanup()

    def add(self, tracks: pa.Table) -> None:
        """Takes those rows of `tracks` that are in error."""
        bad = tracks.filter(pc.not_equal(tracks["status"], "ok")).select(COLUMNS)
        with room_in(self._path.parent):
            for row in bad.to_pylist():
                finished_at = row["finished_at"] and row["finished_at"].isoformat(timespec="seconds")
                self._writer.writerow(map(cell, (row | {"finished_at": finished_at}).values()))
        self.tracks += bad.num_rows

    def publish(self, uri: str, store: Store) -> None:
        """Writes the file to `uri`; nothing can be added afterwards."""
        with room_in(self._path.parent):
            self._file.close()
        store.put_file(self._path, uri)


def cell(text: str | None) -> str:
    """`text` as a spreadsheet may open it."""
    safe = shown(text or "")
    return f"'{safe}" if FORMULA.match(safe) else safe


def beside(page: str) -> str:
    """Where the file of a page at this path or URI is."""
    return os.path.join(os.path.dirname(page), NAME)
