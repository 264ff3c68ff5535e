"""The bytes of a manifest -> its columns `uri` and `track_id`, in whatever format people keep them.

Text is read as it stands: no format may guess that an id is a number or a date.
"""

import codecs
import re
from urllib.parse import unquote

import msgspec
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from jobs.pipeline import schema
from jobs.pipeline.catalogue.delimited import read_delimited
from separation.errors import UsageError

FORMATS = {"parquet", "csv", "tsv", "json", "jsonl", "ndjson", "m3u", "m3u8"}
COMPRESSIONS = {"gz": "gzip", "bz2": "bz2", "zst": "zstd"}
MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
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
        data = _utf_8(uri, data)
        if form in ("csv", "tsv"):
            return read_delimited(uri, data, lambda names: _wanted(uri, names))
        return _playlist(uri, data) if form.startswith("m3u") else _json(uri, data)
    except (ValueError, OSError, pa.ArrowException, msgspec.MsgspecError) as error:
        raise UsageError(f"{uri}: not readable as {form}: {error}") from error


def _parquet(uri: str, data: bytes) -> Columns:
    file = pq.ParquetFile(pa.BufferReader(data))
    wanted = _wanted(uri, file.schema_arrow.names)
    table = file.read(columns=wanted)
    return {name: table[name] for name in wanted}


def _utf_8(uri: str, data: bytes) -> bytes:
    """Text without a byte order mark; of UTF-16, which spreadsheets write, in UTF-8.

    Raises `UsageError` for UTF-16 without the mark that says so.
    """
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            data = data[len(mark) :]
            return data if encoding == "utf-8" else data.decode(encoding).encode()
    if b"\0" in data[:4]:
        raise UsageError(f"{uri}: holds bytes of zero; expected text in UTF-8, or in UTF-16 with its mark")
    return data


def _json(uri: str, data: bytes) -> Columns:
    """JSON lines, or one array of objects; an id may be a whole number."""
    if data.lstrip().startswith(b"["):
        data = b"\n".join(msgspec.json.decode(data, type=list[msgspec.Raw]))
    names = [name for name in schema.CATALOGUE.names if f'"{name}"'.encode() in data]
    wanted = _wanted(uri, names if "uri" in names else _json_names(data))
    try:
        table = _json_lines(data, pa.string())
    except pa.ArrowInvalid as of_text:
        try:
            table = _json_lines(data, pa.int64())
        except pa.ArrowInvalid as of_number:
            why = of_number if "int64" in str(of_number) else of_text
            raise UsageError(f"{uri}: expected JSON lines with uri and track_id as text: {why}") from None
    if table["uri"].null_count == table.num_rows:  # the name is there, deeper inside
        _wanted(uri, [name for name in _json_names(data) if name != "uri"])
    return {name: table[name] for name in wanted}


def _json_names(data: bytes) -> list[str]:
    names: list[str] = pa.json.read_json(pa.BufferReader(data)).column_names
    return names


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
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # what .m3u was before .m3u8
    if "#EXT-X-" in text:
        raise UsageError(f"{uri}: an HLS playlist, whose lines are pieces of one stream; expected tracks")
    lines = re.split(r"[\r\n]+", text)
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
