"""Records and audio in and out of Arrow tables.

A record is a dataclass of `records`. The fields of a record within it become columns of the same table, and
are all null where it is None; a tuple of records becomes a list of structs.
"""

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa

from jobs.pipeline.records import Failure, TrackChunk
from separation.contract import CHANNELS, SEGMENT
from separation.store.redact import shown

T = TypeVar("T")
R = TypeVar("R")
Row = dict[str, Any]
ARROW_TYPES = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("us", tz="UTC"),
}


def _once_per_record(function: Callable[[Any], R]) -> Callable[[Any], R]:
    """`functools.cache`, whose own type refuses a generic class."""
    return cache(function)


@_once_per_record
def schema_of(record: Any) -> pa.Schema:
    """The columns of a record's table."""
    return pa.schema(list(_columns(record)))


def to_table(records: Sequence[T], record: type[T]) -> pa.Table:
    return pa.Table.from_pylist([to_row(each) for each in records], schema_of(record))


def from_table(record: type[T], table: pa.Table) -> list[T]:
    """The records of a table, which may have other columns too."""
    rows = table.select([name for name in schema_of(record).names if name in table.column_names])
    return [from_row(record, row) for row in rows.to_pylist()]


def to_row(record: Any) -> Row:
    """A record as columns with their values."""
    row: Row = {}
    for name, field in _fields(type(record)).items():
        value = getattr(record, name)
        if field.columns:
            row |= dict.fromkeys(field.columns) if value is None else to_row(value)
        elif field.is_list_of_records:
            row[name] = [to_row(item) for item in value]
        else:
            row[name] = value
    return row


def from_row(record: type[T], row: Mapping[str, Any]) -> T:
    """The record of a row; what the row lacks is None, or an empty tuple."""
    values: Row = {}
    for name, field in _fields(record).items():
        if field.columns:
            is_none = field.is_optional and all(row.get(column) is None for column in field.columns)
            values[name] = None if is_none else from_row(field.kind, row)
        elif field.is_list:
            items = row.get(name) or ()
            if field.is_list_of_records:
                items = (from_row(field.kind, item) for item in items)
            values[name] = tuple(items)
        else:
            values[name] = row.get(name)
    return record(**values)


@dataclass(frozen=True, slots=True)
class _Field:
    """A field's type, or that of its items, and the columns of a record within."""

    kind: Any
    is_optional: bool
    is_list: bool
    is_list_of_records: bool
    columns: tuple[str, ...]

    @property
    def arrow_type(self) -> pa.DataType:
        kind = pa.struct(list(schema_of(self.kind))) if is_dataclass(self.kind) else ARROW_TYPES[self.kind]
        return pa.list_(kind) if self.is_list else kind


@_once_per_record
def _fields(record: Any) -> dict[str, _Field]:
    found = {}
    for name, hint in get_type_hints(record).items():
        options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        (kind,) = (option for option in options if option is not type(None))
        is_list = get_origin(kind) is tuple
        kind = get_args(kind)[0] if is_list else kind
        found[name] = _Field(
            kind=kind,
            is_optional=len(options) > 1,
            is_list=is_list,
            is_list_of_records=is_list and is_dataclass(kind),
            columns=() if is_list or not is_dataclass(kind) else tuple(schema_of(kind).names),
        )
    return found


def _columns(record: Any) -> Iterator[tuple[str, pa.DataType]]:
    for name, field in _fields(record).items():
        if field.columns:
            yield from _columns(field.kind)
        else:
            yield name, field.arrow_type


def with_failure(table: pa.Table, failure: Failure) -> pa.Table:
    """The table with all of its tracks in error; it has the columns of a `Failure` already."""
    for name, value in to_row(failure).items():
        column = pa.array([value] * len(table), pa.string())
        table = table.set_column(table.column_names.index(name), name, column)
    return table


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


def sections_of(chunks: pa.Table) -> list[list[tuple[int, TrackChunk]]]:
    """The chunks of a block in one list per section, each with the number of its row in the block.

    A section that is not whole means that Ray split a block: a stem with a hole must not be written.
    """
    rows = enumerate(from_table(TrackChunk, chunks))
    groups = [list(group) for _, group in groupby(rows, lambda row: _key(row[1]))]
    for group in groups:
        section, found = group[0][1].section, [chunk.chunk for _, chunk in group]
        if section.track.failure is None and found != list(range(section.chunks)):
            raise RuntimeError(
                f"{shown(section.track.uri)}: section {section.index} arrived with chunks "
                f"{found} of {section.chunks}: a block was split on its way"
            )
    return groups


def _key(chunk: TrackChunk) -> tuple[str, int]:
    return chunk.section.track.track_id, chunk.section.index


def split_at_sections(table: pa.Table) -> list[pa.Table]:
    """The table cut wherever another track or section begins."""
    columns = [name for name in ("track_id", "index") if name in table.column_names]
    rows = enumerate(table.select(columns).to_pylist())
    groups = [list(group) for _, group in groupby(rows, lambda row: row[1])]
    return [table.slice(group[0][0], len(group)) for group in groups]
