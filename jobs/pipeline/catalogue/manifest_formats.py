"""The bytes of a manifest -> its columns `uri` and `track_id`, in whatever format people keep them.

Text is read as it stands: no format may guess that an id is a number or a date.
"""

import csv
import io
import re
from urllib.parse import unquote

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from jobs.pipeline import schema
from separation.errors import UsageError

FORMATS = {"parquet", "csv", "tsv", "json", "jsonl", "ndjson", "m3u", "m3u8"}
COMPRESSIONS = {"gz": "gzip", "bz2": "bz2", "zst": "zstd"}
DELIMITERS = ",;\t"  # spreadsheets write ; where the comma is a decimal mark
Columns = dict[str, pa.ChunkedArray]


def format_of(uri: str) -> str | None:
    """The format that a name tells, `csv` for `tracks.csv.gz`; None if it is no manifest's name."""
    steps = uri.rpartition("/")[2].lower().split(".")
    if steps[-1] in COMPRESSIONS:
        steps.pop()
    return steps[-1] if len(steps) > 1 and steps[-1] in FORMATS else None


def columns_of(uri: str, data: bytes) -> Columns:
    """`uri`, and `track_id` if the manifest has it, each of bytes or of Arrow's type in the file.

    Raises `UsageError` if `data` is not what the name of `uri` tells, or has no column `uri`, or two.
    """
    form = format_of(uri) or ""
    try:
        if compression := COMPRESSIONS.get(uri.rpartition(".")[2].lower()):
            data = pa.input_stream(pa.BufferReader(data), compression=compression).read()
        if form == "parquet":
            return _parquet(uri, data)
        if form in ("csv", "tsv"):
            return _delimited(uri, data)
        return _playlist(uri, data) if form.startswith("m3u") else _json(uri, data)
    except (ValueError, OSError, pa.ArrowException, msgspec.MsgspecError) as error:
        raise UsageError(f"{uri}: not readable as {form}: {error}") from error


def _parquet(uri: str, data: bytes) -> Columns:
    file = pq.ParquetFile(pa.BufferReader(data))
    wanted = _wanted(uri, file.schema_arrow.names)
    table = file.read(columns=wanted)
    return {name: table[name] for name in wanted}


def _delimited(uri: str, data: bytes) -> Columns:
    header = data.partition(b"\n")[0].decode("utf-8-sig", errors="replace").rstrip("\r")
    headers = {each: next(csv.reader([header], delimiter=each), []) for each in DELIMITERS}
    delimiter = next((each for each in DELIMITERS if "uri" in headers[each]), ",")
    wanted = _wanted(uri, headers[delimiter])
    table = pa.csv.read_csv(
        io.BytesIO(data),
        parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            column_types={name: pa.binary() for name in wanted}, include_columns=wanted
        ),
    )
    return {name: table[name] for name in wanted}


def _json(uri: str, data: bytes) -> Columns:
    """JSON lines, or one array of objects; an id may be a whole number."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.lstrip().startswith(b"["):
        data = b"\n".join(msgspec.json.decode(data, type=list[msgspec.Raw]))
    names = [name for name in schema.CATALOGUE.names if f'"{name}"'.encode() in data]
    wanted = _wanted(uri, names if "uri" in names else pa.json.read_json(pa.BufferReader(data)).column_names)
    try:
        table = _json_lines(data, pa.string())
    except pa.ArrowInvalid as of_text:
        try:
            table = _json_lines(data, pa.int64())
        except pa.ArrowInvalid:
            raise UsageError(f"{uri}: expected JSON lines with uri and track_id as text: {of_text}") from None
    return {name: table[name] for name in wanted}


def _json_lines(data: bytes, id_type: pa.DataType) -> pa.Table:
    options = pa.json.ParseOptions(
        explicit_schema=pa.schema([("uri", pa.string()), ("track_id", id_type)]),
        newlines_in_values=True,
        unexpected_field_behavior="ignore",
    )
    return pa.json.read_json(pa.BufferReader(data), parse_options=options)


def _playlist(uri: str, data: bytes) -> Columns:
    """One path or URI per line; file:// has percent-escapes there, as players write it."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # what .m3u was before .m3u8
    if "#EXT-X-" in text:
        raise UsageError(f"{uri}: an HLS playlist, whose lines are pieces of one stream; expected tracks")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    tracks = [line for line in lines if line.strip() and not line.startswith("#")]
    uris = [unquote(line) if re.match("(?i)file://", line) else line for line in tracks]
    return {"uri": pa.chunked_array([pa.array(uris, pa.string())])}


def _wanted(uri: str, names: list[str]) -> list[str]:
    """Those of `names` that a catalogue takes."""
    if "uri" not in names:
        raise UsageError(f"{uri}: a manifest needs a column uri; this has {', '.join(names) or 'none'}")
    for name in schema.CATALOGUE.names:
        if names.count(name) > 1:
            raise UsageError(f"{uri}: {names.count(name)} columns are called {name}; expected one")
    return [name for name in schema.CATALOGUE.names if name in names]
