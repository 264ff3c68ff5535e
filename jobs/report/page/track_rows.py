"""The tracks of an output as rows of the table that `--interactive` adds to the page."""

import math
from typing import Any

import pyarrow as pa

from jobs.report.formatting import safe_text

MOST = 100_000  # tracks in a page: about 15 MB, which a browser sorts in a second
LONGEST, LONGEST_KIND = 300, 30  # characters of a name or a sentence, and of a kind of errors
# What each column is called, and how the page shows and sorts its values.
COLUMNS = (
    ("track", "text"),
    ("state", "text"),  # ok, or the kind of the error
    ("length", "length"),  # seconds
    ("took", "length"),  # seconds from the start of its probe to the end of its last write
    ("chunks", "count"),
    ("finished", "moment"),  # seconds since 1970
    ("note", "text"),  # the error's sentence, or warnings
)


class TrackRows:
    """Collects the first `most` tracks of an output, file by file."""

    def __init__(self, most: int = MOST) -> None:
        self.total = 0  # tracks, shown or not
        self.rows: list[tuple[Any, ...]] = []
        self._most = most

    def add(self, tracks: pa.Table) -> None:
        self.total += tracks.num_rows
        for row in tracks.slice(0, self._most - len(self.rows)).to_pylist():
            self.rows.append(_row(row))

    @property
    def left_out(self) -> int:
        return self.total - len(self.rows)

    def content(self) -> dict[str, Any]:
        """For the page's script, as JSON."""
        return {"columns": [{"name": name, "kind": kind} for name, kind in COLUMNS], "rows": self.rows}


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    """The values of COLUMNS; names and sentences as reports show them."""
    ok = row["status"] == "ok"
    note = "; ".join(warning or "" for warning in row["warnings"] or ()) if ok else row["error"] or ""
    started_at, finished_at = (row[name] and row[name].timestamp() for name in ("started_at", "finished_at"))
    return (
        safe_text(row["track_id"], LONGEST),
        "ok" if ok else safe_text(row["error_kind"] or "unknown", LONGEST_KIND),
        _seconds(row["duration_s"]),
        _seconds(finished_at - started_at if started_at and finished_at else None),
        row["chunks"],
        _seconds(finished_at),
        safe_text(note, LONGEST),
    )


def _seconds(value: float | None) -> float | None:
    """Short in JSON, which has no NaN and no infinity."""
    return None if value is None or not math.isfinite(value) else round(value, 1)
