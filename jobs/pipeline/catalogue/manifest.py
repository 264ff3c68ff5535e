"""A manifest, one file or a folder of parts -> a table of `ListedTrack`.

A track whose id is ambiguous goes on in error, and the others are done. An id that is empty, or that several
uris have, names no track: the order of rows does not decide which of them is meant. Each of these rows gets
its uri as its id, which is never the path of a stem, since it begins with / or holds //. Rows that are equal
are one.
"""

import os
import posixpath
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline import schema
from jobs.pipeline.catalogue.manifest_formats import columns_of, format_of
from separation.errors import ErrorKind, UsageError
from separation.store.errors import NotAFile
from separation.store.filesystems import join
from separation.store.objects import Store

SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
NOT_UTF_8 = "its name is not UTF-8"
_LISTED_NAMES = ["track_id", "uri", "error"]
_NO_TEXT = pa.scalar(None, pa.string())


def read_manifest(uri: str, files: list[str], store: Store) -> pa.Table:
    """The tracks of the manifest `uri`, which is read from `files`: itself, or its parts.

    Raises `UsageError` if one is not readable, or has no column `uri`.
    """
    folder = join(uri.rpartition("/")[0] or ".", "")
    return _unmistakable(pa.concat_tables([_named(file, folder, store) for file in files]))


def manifest_files(uri: str, store: Store) -> list[str]:
    """`uri` itself, or its parts if it is a folder of them. Raises `UsageError` for a folder without any."""
    try:
        store.stat(uri)
        return [uri]
    except NotAFile as error:
        if parts := parts_of(uri, store):
            return parts
        raise UsageError(f"{uri}: {error.reason}, or a folder with parts in {format_of(uri)}") from error
    except FileNotFoundError:
        return parts_of(uri, store) or [uri]


def parts_of(uri: str, store: Store) -> list[str]:
    """The files of the manifest `uri`, a folder: Parquet, or the format that its name tells."""
    form = format_of(uri) or "parquet"
    found = [file.uri for file in store.list_files(uri)]
    names = {file: file.rpartition("/")[2] for file in found}
    return [file for file in found if format_of(file) == form and not names[file].startswith(("_", "."))]


def _named(file: str, folder: str, store: Store) -> pa.Table:
    """Ids, uris and errors as they stand in a file whose relative uris begin at `folder`."""
    columns = columns_of(file, store.read_bytes(file))
    uris, errors = _text(columns["uri"], f"{file}: its column uri")
    uris = _resolved(uris, folder)
    if "track_id" in columns:
        ids, errors_of_ids = _text(columns["track_id"], f"{file}: its column track_id")
        errors = pc.coalesce(errors, errors_of_ids)
    else:
        ids = pc.replace_substring_regex(_without_credentials(uris), f"^({SCHEME})?/*", "")
    return pa.table([ids, uris, errors], names=_LISTED_NAMES)


def _text(column: pa.ChunkedArray, called: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """A column as text, empty where it has none, and what is wrong with each value.

    Whole numbers are written as they stand. Raises `UsageError` for other types, which have several ways
    to be written. Escapes stand for bytes that are not UTF-8.
    """
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (is_text or is_bytes or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        raise UsageError(f"{called} has the type {kind}; expected text")
    errors = pa.chunked_array([pa.nulls(len(column), pa.string())])
    try:
        return pc.fill_null(column.cast(pa.string()), ""), errors
    except pa.ArrowInvalid:  # bytes that are not UTF-8
        values = [(value or b"").decode(errors="backslashreplace") for value in column.to_pylist()]
        is_utf_8 = pc.equal(pa.array(values).cast(pa.binary()), pc.fill_null(column.cast(pa.binary()), b""))
        errors = pc.if_else(is_utf_8, _NO_TEXT, NOT_UTF_8)
        return pa.chunked_array([pa.array(values, pa.string())]), errors


def _resolved(uris: pa.ChunkedArray, folder: str) -> pa.ChunkedArray:
    """Relative uris below `folder`, and paths without the steps `.` and `..`, such as `find .` writes."""
    is_relative = pc.invert(pc.match_substring_regex(uris, f"^(/|{SCHEME}|$)"))
    below = pc.replace_substring_regex(uris, r"^(\./+)+", "")
    uris = pc.if_else(is_relative, pc.binary_join_element_wise(folder, below, ""), uris)
    is_path = pc.or_(is_relative, pc.match_substring_regex(uris, "(?i)^(/|(file|local)://)"))
    has_steps = pc.and_(is_path, pc.match_substring_regex(uris, r"^//|[^:/]//|/\.{1,2}(/|$)"))
    if not pc.any(has_steps).as_py():
        return uris
    rows = zip(uris.to_pylist(), has_steps.to_pylist(), strict=True)
    return pa.chunked_array(
        [pa.array([_without_steps(uri) if has else uri for uri, has in rows], pa.string())]
    )


def _without_steps(uri: str) -> str:
    """The path without `.`, `..` and, on a disk, `//`; an object's key may hold that."""
    scheme = re.match(SCHEME, uri)
    before = scheme[0] if scheme else ""
    path = uri.removeprefix(before)
    if before.lower() in ("", "file://", "local://"):
        linked, up, rest = path.rpartition("/../")
        path = f"{os.path.realpath(f'{linked}/..')}/{rest}" if up else path  # above a link is its target's
        return f"{before}/{posixpath.normpath(path).lstrip('/')}"
    steps: list[str] = []
    for step in path.split("/"):
        if step == ".." and len(steps) > 1:
            steps.pop()
        elif step != ".":
            steps.append(step)
    return before + "/".join(steps)


def _without_credentials(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    """Keeps users, passwords and signed queries out of the names of folders and the rows of tables."""
    uris = pc.replace_substring_regex(uris, rf"((?:^|::){SCHEME})[^\s/?#]*@", r"\1")
    return pc.replace_substring_regex(uris, r"(?is)^((?:[^?]*::)?https?://[^?]*)\?.*$", r"\1")


def _unmistakable(tracks: pa.Table) -> pa.Table:
    """`schema.LISTED` with each id once; ids that name several tracks or none are in error."""
    tracks = _first_rows(tracks, _LISTED_NAMES)
    counts = pc.value_counts(tracks["track_id"])
    double = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    ids, uris = tracks["track_id"], tracks["uri"]
    no_id, no_uri = pc.equal(ids, ""), pc.equal(uris, "")
    is_double = pc.and_(pc.is_in(ids, value_set=double), pc.invert(pc.or_(no_id, no_uri)))
    errors = pc.case_when(
        pc.make_struct(no_id, no_uri, is_double),
        "the manifest gives it no track_id",
        "the manifest gives it no uri",
        pc.binary_join_element_wise("the manifest gives the track_id ", ids, " to several uris", ""),
        tracks["error"],
    )
    refused = pc.or_(no_id, is_double)
    ids = pc.if_else(refused, _without_credentials(uris), ids)
    if pc.any(refused).as_py():
        listed = pa.table([ids, uris, errors], names=_LISTED_NAMES)
        first = _first_rows(listed, ["track_id"])
        ids, uris, errors = first.columns
    return listed_table(ids, uris, errors.cast(pa.string()))


def _first_rows(tracks: pa.Table, names: list[str]) -> pa.Table:
    """The first of the rows that have the same values of `names`, in their order."""
    numbered = tracks.append_column("row", pa.array(np.arange(len(tracks))))
    first = numbered.group_by(names, use_threads=False).aggregate([("row", "min")])["row_min"]
    return tracks.take(pc.take(first, pc.array_sort_indices(first.combine_chunks())))


def listed_table(ids: pa.Array, uris: pa.Array, errors: pa.Array) -> pa.Table:
    """`schema.LISTED` from arrays or chunked arrays; all that can be wrong with a track here is its name."""
    kinds = pc.if_else(errors.is_valid(), str(ErrorKind.BAD_KEY), _NO_TEXT)
    return pa.Table.from_arrays([ids, uris, kinds, errors], schema=schema.LISTED)
