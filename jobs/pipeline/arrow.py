"""Records and audio in and out of Arrow tables.

A record is a dataclass of `records`. The fields of a record within it become columns of the same table, and
are all null where it is None; a tuple of records becomes a list of structs.
"""

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa

from jobs.pipeline.records import Failure, TrackChunk
from separation.contract import CHANNELS
from separation.store.redact import shown

T = TypeVar("T")
R = TypeVar("R")
Row = dict[str, Any]
ARROW_TYPES = {
    bool: pa.bool_(),
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
    shape = _shape(type(record))
    row: Row = {name: getattr(record, name) for name in shape.plain}
    for name, nested in shape.nested.items():
        value = getattr(record, name)
        row |= nested.nothing if value is None else to_row(value)
    for name in shape.lists:
        row[name] = [to_row(item) for item in getattr(record, name)]
    return row


def from_row(record: type[T], row: Mapping[str, Any]) -> T:
    """The record of a row; what the row lacks is None, or an empty tuple."""
    shape = _shape(record)
    values: Row = {name: row.get(name) for name in shape.plain}
    for name in shape.tuples:
        values[name] = tuple(row.get(name) or ())
    for name, nested in shape.nested.items():
        is_none = nested.is_optional and all(row.get(column) is None for column in nested.nothing)
        values[name] = None if is_none else from_row(nested.record, row)
    for name, item in shape.lists.items():
        values[name] = tuple(from_row(item, each) for each in row.get(name) or ())
    return record(**values)


@dataclass(frozen=True, slots=True)
class _Nested:
    """A record in a field of another one; `nothing` are its columns where it is None."""

    record: Any
    is_optional: bool
    nothing: Row


@dataclass(frozen=True, slots=True)
class _Shape:
    """The fields of a record by what becomes of them."""

    plain: dict[str, pa.DataType]  # one column each
    tuples: tuple[str, ...]  # those of them that are tuples
    nested: dict[str, _Nested]  # the columns of a record
    lists: dict[str, Any]  # a list of structs: the record of the items


@_once_per_record
def _shape(record: Any) -> _Shape:
    shape, tuples = _Shape({}, (), {}, {}), []
    for name, hint in get_type_hints(record).items():
        options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        (kind,) = (option for option in options if option is not type(None))
        is_tuple = get_origin(kind) is tuple
        item = get_args(kind)[0] if is_tuple else kind
        if is_dataclass(item) and is_tuple:
            shape.lists[name] = item
        elif is_dataclass(item):
            shape.nested[name] = _Nested(item, len(options) > 1, dict.fromkeys(schema_of(item).names))
        elif is_tuple:
            shape.plain[name] = pa.list_(ARROW_TYPES[item])
            tuples.append(name)
        else:
            shape.plain[name] = ARROW_TYPES[item]
    return replace(shape, tuples=tuple(tuples))


def _columns(record: Any) -> Iterator[tuple[str, pa.DataType]]:
    shape = _shape(record)
    for name in get_type_hints(record):
        if name in shape.nested:
            yield from _columns(shape.nested[name].record)
        elif name in shape.lists:
            yield name, pa.list_(pa.struct(list(schema_of(shape.lists[name]))))
        else:
            yield name, shape.plain[name]


def with_failure(table: pa.Table, failure: Failure) -> pa.Table:
    """The table with all of its tracks in error; it has the columns of a `Failure` already."""
    for name, value in to_row(failure).items():
        column = pa.array([value] * len(table), pa.string())
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def pack(segments: np.ndarray | Sequence[np.ndarray | None]) -> pa.LargeBinaryArray:
    """Segments, each float32 (channels, segment), as a column of their bytes; None as no bytes.

    Those of several contracts differ in length.
    """
    sizes = [0 if segment is None else segment.nbytes for segment in segments]
    offsets = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    if not isinstance(segments, np.ndarray):
        present = [segment.reshape(-1) for segment in segments if segment is not None]
        segments = np.concatenate(present) if present else np.empty(0, np.float32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(segments))]
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(sizes), buffers)


def unpack(column: pa.ChunkedArray, row: int) -> np.ndarray:
    """A row's segment, float32 (channels, segment), as a view of the block."""
    return np.frombuffer(column[row].as_buffer(), np.float32).reshape(CHANNELS, -1)


def sections_of(chunks: pa.Table) -> list[list[tuple[int, TrackChunk]]]:
    """The chunks of a block in one list per section, each with the number of its row in the block.

    A section that is not whole means that Ray split a block: a stem with a hole must not be written.
    """
    rows = enumerate(from_table(TrackChunk, chunks))
    groups = [list(group) for _, group in groupby(rows, lambda row: _key(row[1]))]
    for group in groups:
        section, found = group[0][1].section, [chunk.chunk for _, chunk in group]
        if section.chunks and section.track.failure is None and found != list(range(section.chunks)):
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
