"""Audio in and out of Arrow rows without a copy more than needed."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from separation.contract import CHANNELS, SEGMENT
from separation.errors import TrackError
from separation.level import Level
from separation.store.redact import shown

Row = dict[str, Any]


def pack(segments: np.ndarray | Sequence[np.ndarray | None]) -> pa.LargeBinaryArray:
    """Segments, each float32 (channels, SEGMENT), as a column of their bytes; None as no bytes."""
    sizes = [0 if segment is None else segment.nbytes for segment in segments]
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    if not isinstance(segments, np.ndarray):
        present = [segment for segment in segments if segment is not None]
        segments = np.stack(present) if present else np.empty(0, np.float32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(segments))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(sizes), buffers)


def unpack(column: pa.ChunkedArray, row: int) -> np.ndarray:
    """A row's segment, float32 (channels, SEGMENT), as a view of the block."""
    return np.frombuffer(column[row].as_buffer(), np.float32).reshape(CHANNELS, SEGMENT)


def sections_of(chunks: pa.Table) -> list[list[Row]]:
    """The block's rows without their audio, a list a section; `at` is a row's place in the block.

    A section that is not whole means that Ray split a block: a stem with a hole must not be written.
    """
    audio = [field.name for field in chunks.schema if pa.types.is_large_binary(field.type)]
    rows = chunks.drop_columns(audio).to_pylist()
    numbered = [{**row, "at": at} for at, row in enumerate(rows)]
    groups = [list(group) for _, group in groupby(numbered, lambda row: (row["track_id"], row["section"]))]
    for group in groups:
        first = group[0]
        if first["status"] == "ok" and [row["chunk"] for row in group] != list(range(first["chunks"])):
            raise RuntimeError(
                f"{shown(first['uri'])}: section {first['section']} arrived with chunks "
                f"{[row['chunk'] for row in group]} of {first['chunks']}: a block was split on its way"
            )
    return groups


def failed(error: TrackError) -> Row:
    """The columns of a row in error."""
    return {"status": "error", "error_kind": str(error.kind), "error": shown(error.reason)}


def level_of(row: Row) -> Level:
    return Level(row["mean"], row["std"], row["peak"])
