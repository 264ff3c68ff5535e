"""Which tracks there are: a prefix, a glob or a manifest -> a table of track_id and uri.

Everything is Arrow and vectorised: a catalogue of ten million tracks is a few gigabytes here and
minutes as Python objects.
"""

import os
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from jobs.pipeline import schema
from separation.errors import UsageError
from separation.storage import join, list_files, read_bytes

# What a prefix takes; a glob or a manifest takes whatever it names.
_AUDIO = """aac ac3 aif aifc aiff alac amr ape au caf dsf flac m4a m4b mka mp2 mp3 mp4 mpc oga ogg opus
rf64 snd spx tta w64 wav wave webm wma wv"""
AUDIO = frozenset(_AUDIO.split())
LISTED_AT_ONCE = 100_000  # keys that are Python objects at a time
MANIFESTS = {"parquet", "csv", "json", "jsonl", "ndjson"}


@dataclass(frozen=True, slots=True)
class Catalogue:
    tracks: pa.Table  # schema.CATALOGUE
    passed_over: int = 0  # files below a prefix whose names are not audio's


def read_catalogue(uri: str) -> Catalogue:
    """Raises `UsageError` where it is empty, lacks a column or names a track twice."""
    if "://" not in uri:
        uri = os.path.abspath(uri)  # listings answer with absolute paths
    extension = _extension(uri)
    catalogue = Catalogue(_manifest(uri, extension)) if extension in MANIFESTS else _listed(uri)
    if not catalogue.tracks.num_rows:
        beside = f" ({catalogue.passed_over} other files)" if catalogue.passed_over else ""
        raise UsageError(f"{uri}: no tracks{beside}")
    _refuse_doubles(uri, catalogue.tracks["track_id"])
    return catalogue


def pending(tracks: pa.Table, done: pa.ChunkedArray) -> pa.Table:
    """The tracks whose ids are not in `done`."""
    return tracks.filter(pc.invert(pc.is_in(tracks["track_id"], value_set=done)))


def _listed(uri: str) -> Catalogue:
    is_glob = any(mark in uri for mark in "*?[")
    prefix = (_root_of_glob(uri) if is_glob else uri.rstrip("/")) + "/"
    passed_over, tables = 0, [schema.CATALOGUE.empty_table()]
    listing = list_files(uri)
    while page := [file.uri for file in islice(listing, LISTED_AT_ONCE)]:
        audio = page if is_glob else [file for file in page if _extension(file) in AUDIO]
        ids = [PurePosixPath(file).name if file == uri else file.removeprefix(prefix) for file in audio]
        tables.append(
            pa.Table.from_arrays(
                [pa.array(ids, pa.string()), pa.array(audio, pa.string())], schema=schema.CATALOGUE
            )
        )
        passed_over += len(page) - len(audio)
    return Catalogue(pa.concat_tables(tables), passed_over)


def _root_of_glob(uri: str) -> str:
    before = uri[: min(uri.index(mark) for mark in "*?[" if mark in uri)]
    return before.rpartition("/")[0]


def _manifest(uri: str, extension: str) -> pa.Table:
    data = pa.BufferReader(read_bytes(uri))
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
    uris = table["uri"].cast(pa.string())
    if uris.null_count:
        raise UsageError(f"{uri}: {uris.null_count} rows have no uri")
    relative = pc.invert(pc.match_substring_regex(uris, r"^(/|[A-Za-z][A-Za-z0-9+.-]*://)"))
    folder = join(uri.rpartition("/")[0] or ".", "")
    uris = pc.if_else(relative, pc.binary_join_element_wise(folder, uris, ""), uris)
    if "track_id" in table.column_names:
        ids = table["track_id"].cast(pa.string())
        if ids.null_count:
            raise UsageError(f"{uri}: {ids.null_count} rows have no track_id")
    else:
        # Neither users and passwords nor signed queries belong into names of folders and rows of tables.
        ids = pc.replace_substring_regex(uris, r"^([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#]*@", r"\1")
        ids = pc.replace_substring_regex(ids, r"(?is)^(https?://[^?]*)\?.*$", r"\1")
        ids = pc.replace_substring_regex(ids, r"^([A-Za-z][A-Za-z0-9+.-]*://)?/*", "")
    return pa.Table.from_arrays([ids, uris], schema=schema.CATALOGUE)


def _refuse_doubles(uri: str, ids: pa.ChunkedArray) -> None:
    counts = pc.value_counts(ids)
    double = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(double):
        first = double[0].as_py()
        raise UsageError(
            f"{uri}: {len(double)} track ids stand more than once; the first is {first['values']!r}, "
            f"{first['counts']} times"
        )


def _extension(uri: str) -> str:
    return PurePosixPath(uri.rpartition("/")[2]).suffix[1:].lower()
