"""One file of the tables: its columns read as this version has them, written whole."""

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.pipeline import schema
from separation.errors import StorageError
from separation.store.filesystems import join
from separation.store.objects import Store

REQUIRED = {"track_id", "status", "run_id", "stem"}  # of every row, in every version


class DamagedTable(StorageError):
    """A file of the tables that is no Parquet file, or not one of ours."""

    def __str__(self) -> str:
        return f"{super().__str__()}. python -m jobs.verify --repair forgets its tracks"


def list_names(output: str, table: str, store: Store) -> list[str]:
    """The files of `tracks` or `timings`; not what other programs hide beside them, as a Mac's `._` files."""
    names = (file.uri.rpartition("/")[2] for file in store.list_files(join(output, table)))
    return [name for name in names if name.endswith(".parquet") and not name.startswith(".")]


def list_uris(output: str, table: str, store: Store) -> list[str]:
    """As `list_names`, with where they are."""
    return [join(output, f"{table}/{name}") for name in list_names(output, table, store)]


def schema_of(table: str, columns: list[str] | None = None) -> pa.Schema:
    """These columns of `tracks` or `timings`, all by default."""
    whole = schema.TRACKS if table == "tracks" else schema.TIMINGS
    return whole if columns is None else pa.schema([whole.field(name) for name in columns])


def read(uri: str, store: Store, wanted: pa.Schema) -> pa.Table:
    """The columns `wanted` of a file; one that an older version did not write is null."""
    data = store.read_bytes(uri)
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        names = set(file.schema_arrow.names)
        stored = file.read([name for name in wanted.names if name in names])
        columns = [
            stored[field.name].cast(field.type) if field.name in names else pa.nulls(len(stored), field.type)
            for field in wanted
        ]
        found = pa.table(columns, schema=wanted)
        found.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedTable(uri, f"not a table of ours: {str(error).rstrip('.')}") from error
    for name in REQUIRED.intersection(wanted.names):
        if found[name].null_count:
            raise DamagedTable(uri, f"not a table of ours: a row has no {name}")
    return found


def read_if_there(uri: str, wanted: pa.Schema, store: Store) -> pa.Table:
    """As `read`; empty without the file."""
    try:
        return read(uri, store, wanted)
    except FileNotFoundError:
        return wanted.empty_table()


def replace_file(uri: str, table: pa.Table, store: Store) -> None:
    """Writes the table; removes the file if nothing is left of it."""
    if table.num_rows:
        put(uri, table, store)
    else:
        store.remove([uri])


def put(uri: str, table: pa.Table, store: Store) -> None:
    """Writes the file, with checksums of its pages."""
    data = pa.BufferOutputStream()
    pq.write_table(table, data, write_page_checksum=True)
    store.put_bytes(data.getvalue().to_pybytes(), uri)
