"""CSV and TSV -> columns. A value may have several lines, but not where that may be a quote left open.

One stray quote makes all rows up to the next one a single value: these would be lost without a word.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.csv

from separation.console import counted
from separation.errors import UsageError

DELIMITERS = ",;\t"  # spreadsheets write ; where the comma is a decimal mark
FILE = re.compile(r'://|\.[0-9A-Za-z]{2,4}"?$')  # what the uri of a track has, and prose has not


def read_delimited(
    uri: str, data: bytes, wanted: Callable[[list[str]], list[str]]
) -> dict[str, pa.ChunkedArray]:
    """The columns that `wanted` chooses from the names of all, each of bytes.

    Raises `UsageError` with the number of the line that is no row.
    """
    header = re.split(rb"[\r\n]", data, maxsplit=1)[0].decode("utf-8-sig", errors="replace")
    headers = {each: next(csv.reader([header], delimiter=each), []) for each in DELIMITERS}
    delimiter = next((each for each in DELIMITERS if "uri" in headers[each]), ",")
    names = wanted(headers[delimiter])
    if b'"' in data:
        _check_rows(uri, data, delimiter, names)
    try:
        table = pa.csv.read_csv(
            io.BytesIO(data),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.binary() for name in names}, include_columns=names
            ),
        )
    except pa.ArrowInvalid:
        _check_rows(uri, data, delimiter, names)  # it knows the line
        raise
    return {name: table[name] for name in names}


def _check_rows(uri: str, data: bytes, delimiter: str, names: Sequence[str]) -> None:
    """Raises `UsageError` for the first line that is no row, or may be one inside another's quotes."""
    rows = _numbered_rows(uri, data, delimiter)
    _, header = next(rows)
    for number, row in rows:
        if row and len(row) != len(header):
            found = f"expected {counted(len(header), 'value')}, found {len(row)}"
            raise UsageError(f"{uri}: line {number}: {found}: {delimiter.join(row)[:80]}")
        for name, value in zip(header, row, strict=False):
            lines = re.split(r"\r\n|\r|\n", value)
            if len(lines) > 1 and name in names:
                raise UsageError(f"{uri}: line {number}: its {name} has a line break; is a quote left open?")
            if any(_is_row(line.split(delimiter), header) for line in lines[1:]):
                raise UsageError(
                    f"{uri}: line {number}: its {name} holds a line that looks like a row; "
                    "is a quote left open?"
                )


def _is_row(values: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a line inside quotes has a row's number of values, and a file's name for its uri."""
    return len(values) == len(header) and bool(FILE.search(values[header.index("uri")]))


def _numbered_rows(uri: str, data: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows, each with the number of the line that it begins at."""
    text = io.StringIO(data.decode("utf-8-sig", errors="backslashreplace"), newline="")
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    before = 0
    try:
        for row in reader:
            yield before + 1, row
            before = reader.line_num
    except csv.Error as error:
        raise UsageError(f"{uri}: line {before + 1}: {error}; is a quote left open?") from None
