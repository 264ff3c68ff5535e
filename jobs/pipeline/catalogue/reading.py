"""Reads the catalogue: a prefix, a glob or a manifest -> a table of `ListedTrack`.

Everything is Arrow and vectorised: a catalogue of ten million tracks is a few gigabytes here and
minutes as Python objects.

A track whose id is ambiguous goes on in error, and the others are done. An id of a manifest that is empty,
or that several uris have, names no track: the order of rows does not decide which of them is meant. Each of
these rows gets its uri as its id, which is never the path of a stem, since it begins with / or holds //.
Rows that are equal are one.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from jobs.pipeline import schema
from jobs.pipeline.catalogue.own_output import lie_below
from separation.arguments import absolute
from separation.console import counted
from separation.errors import ErrorKind, UsageError
from separation.store.filesystems import join
from separation.store.objects import Store

# Extensions that a prefix takes; a glob or a manifest takes whatever it names.
_AUDIO = """aac ac3 aif aifc aiff alac amr ape au caf dsf flac m4a m4b mka mp2 mp3 mp4 mpc oga ogg opus
rf64 snd spx tta w64 wav wave webm wma wv"""
AUDIO = frozenset(_AUDIO.split())
LISTED_AT_ONCE = 100_000  # keys that are Python objects at a time
MANIFESTS = {"parquet", "csv", "json", "jsonl", "ndjson"}


@dataclass(frozen=True, slots=True)
class Catalogue:
    tracks: pa.Table  # schema.LISTED, no track_id twice
    left_out: Mapping[str, int] = field(default_factory=dict)  # which files are no tracks -> how many

    def describe_left_out(self) -> str:
        """`3 files without an audio name, 2 files of the output`; empty if there are none."""
        return ", ".join(
            counted(count, "file") + f" {which}" for which, count in self.left_out.items() if count
        )


def read_catalogue(uri: str, output: str, store: Store) -> Catalogue:
    """The catalogue at `uri` without what lies below the folder `output`.

    Raises `UsageError` if nothing is left, or a manifest lacks a column.
    """
    uri = absolute(uri)  # as listings of plain paths answer
    extension = _extension(uri)
    found = Catalogue(_manifest(uri, extension, store)) if extension in MANIFESTS else _listed(uri, store)
    if not found.tracks.num_rows:
        beside = f" ({found.describe_left_out()})" if found.describe_left_out() else ""
        raise UsageError(f"{uri}: no tracks{beside}")
    is_own = lie_below(found.tracks["uri"], output)
    own = pc.sum(is_own).as_py()
    if own == found.tracks.num_rows:
        raise UsageError(
            f"all tracks of {uri} lie below the output {output}, where a run leaves its own files; "
            "choose an --output that does not hold the input"
        )
    return Catalogue(found.tracks.filter(pc.invert(is_own)), {**found.left_out, "of the output": own})


def pending(tracks: pa.Table, done: pa.ChunkedArray) -> pa.Table:
    """The tracks whose ids are not in `done`."""
    return tracks.filter(pc.invert(pc.is_in(tracks["track_id"], value_set=done)))


def _listed(uri: str, store: Store) -> Catalogue:
    folder, pattern = split_pattern(uri, store)
    passed_over, tables = 0, [schema.LISTED.empty_table()]
    listing = store.find_files(folder, pattern)
    while page := [file.uri for file in islice(listing, LISTED_AT_ONCE)]:
        audio = page if pattern else [file for file in page if _extension(file) in AUDIO]
        prefix = f"{folder.rstrip('/')}/"
        ids = [PurePosixPath(file).name if file == uri else file.removeprefix(prefix) for file in audio]
        tables.append(_table_of(ids, audio))
        passed_over += len(page) - len(audio)
    return Catalogue(pa.concat_tables(tables), {"without an audio name": passed_over})


def split_pattern(uri: str, store: Store) -> tuple[str, str]:
    """The folder of a glob, and the pattern of the paths below it, which is empty for any other URI.

    A step such as `[live]` is a pattern only if nothing is there under that very name.
    """
    steps = uri.split("/")
    for at in range(3 if "://" in uri else 1, len(steps)):
        named = "/".join(steps[: at + 1])
        if any(mark in steps[at] for mark in "*?[") and not any(store.list_files(named)):
            return "/".join(steps[:at]) or "/", "/".join(steps[at:])
    return uri, ""


def _table_of(ids: list[str], uris: list[str]) -> pa.Table:
    """A name that is not UTF-8, as a local disk may have, cannot be a table's text: escapes stand for it."""
    errors: list[str | None] = [None] * len(uris)
    if not "".join(uris).isascii():
        for at, uri in enumerate(uris):
            written = os.fsencode(uri).decode(errors="backslashreplace")
            if written != uri:
                ids[at] = uris[at] = written
                errors[at] = "its name is not UTF-8"
    columns = [pa.array(column, pa.string()) for column in (ids, uris, errors)]
    return listed_table(*columns)


def _manifest(uri: str, extension: str, store: Store) -> pa.Table:
    data = pa.BufferReader(store.read_bytes(uri))
    try:
        if extension == "parquet":
            table = pq.read_table(data)
        elif extension == "csv":
            strings = pa.csv.ConvertOptions(
                column_types={name: pa.string() for name in schema.CATALOGUE.names}
            )
            table = pa.csv.read_csv(data, convert_options=strings)
        else:
            table = pa.json.read_json(data)
    except pa.ArrowInvalid as error:
        raise UsageError(f"{uri}: not readable as {extension}: {error}") from error
    if "uri" not in table.column_names:
        raise UsageError(f"{uri}: a manifest needs a column uri; this has {', '.join(table.column_names)}")
    uris = pc.fill_null(table["uri"].cast(pa.string()), "")
    has_uri = pc.not_equal(uris, "")
    relative = pc.invert(pc.match_substring_regex(uris, r"^(/|[A-Za-z][A-Za-z0-9+.-]*://)"))
    folder = join(uri.rpartition("/")[0] or ".", "")
    uris = pc.if_else(pc.and_(relative, has_uri), pc.binary_join_element_wise(folder, uris, ""), uris)
    if "track_id" in table.column_names:
        ids = pc.fill_null(table["track_id"].cast(pa.string()), "")
    else:
        ids = pc.replace_substring_regex(_without_credentials(uris), r"^([A-Za-z][A-Za-z0-9+.-]*://)?/*", "")
    return _unmistakable(pa.table([ids, uris], names=schema.CATALOGUE.names))


def _without_credentials(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    """Keeps users, passwords and signed queries out of the names of folders and the rows of tables."""
    uris = pc.replace_substring_regex(uris, r"^([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#]*@", r"\1")
    return pc.replace_substring_regex(uris, r"(?is)^(https?://[^?]*)\?.*$", r"\1")


def _unmistakable(tracks: pa.Table) -> pa.Table:
    """`schema.LISTED` with each id once; ids that name several tracks or none are in error."""
    tracks = tracks.group_by(["track_id", "uri"], use_threads=False).aggregate([])  # keeps the order
    counts = pc.value_counts(tracks["track_id"])
    double = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    ids, uris = tracks["track_id"], tracks["uri"]
    no_id, no_uri = pc.equal(ids, ""), pc.equal(uris, "")
    is_double = pc.and_(pc.is_in(ids, value_set=double), pc.invert(pc.or_(no_id, no_uri)))
    null = pa.scalar(None, pa.string())
    errors = pc.case_when(
        pc.make_struct(no_id, no_uri, is_double),
        "the manifest gives it no track_id",
        "the manifest gives it no uri",
        pc.binary_join_element_wise("the manifest gives the track_id ", ids, " to several uris", ""),
        null,
    )
    refused = pc.or_(no_id, is_double)
    ids = pc.if_else(refused, _without_credentials(uris), ids)
    if pc.any(refused).as_py():
        listed = pa.table({"track_id": ids, "uri": uris, "error": errors})
        first = listed.group_by("track_id", use_threads=False).aggregate(
            [("uri", "first"), ("error", "first")]
        )
        ids, uris, errors = first.columns
    return listed_table(ids, uris, errors.cast(pa.string()))


def listed_table(ids: pa.Array, uris: pa.Array, errors: pa.Array) -> pa.Table:
    """`schema.LISTED` from arrays or chunked arrays; all that can be wrong with a track here is its name."""
    bad_key, none = pa.scalar(str(ErrorKind.BAD_KEY)), pa.scalar(None, pa.string())
    kinds = pc.if_else(errors.is_valid(), bad_key, none)
    return pa.Table.from_arrays([ids, uris, kinds, errors], schema=schema.LISTED)


def _extension(uri: str) -> str:
    return PurePosixPath(uri.rpartition("/")[2]).suffix[1:].lower()
