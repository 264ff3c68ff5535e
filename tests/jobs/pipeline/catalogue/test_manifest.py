"""Manifests as people have them: text as it stands, in every format, whole or in parts."""

import datetime
import decimal
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.pipeline.catalogue.reading import read_catalogue
from separation.errors import UsageError
from tests.stores import STORE

# What a guess would turn into a date, a moment, a number, a truth value or nothing.
AS_IT_STANDS = (
    "2024-01-05",
    "2024-01-05T10:00:00Z",
    "007",
    "1e5",
    "1.50",
    "true",
    "null",
    "NA",
    "nan",
    "10:30",
)


def read(manifest: Path | str, output: str = "/nowhere") -> dict[str, str]:
    """Ids and uris."""
    tracks = read_catalogue(str(manifest), output, STORE).tracks
    return dict(zip(tracks["track_id"].to_pylist(), tracks["uri"].to_pylist(), strict=True))


def errors(manifest: Path) -> list[str | None]:
    return read_catalogue(str(manifest), "/nowhere", STORE).tracks["error"].to_pylist()


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A manifest in the format that its name tells."""
    form = path.name.removesuffix(".gz").rpartition(".")[2]
    delimiter = {"csv": ",", "tsv": "\t"}.get(form)
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if delimiter:
        text = "\n".join([delimiter.join(rows[0]), *(delimiter.join(map(str, row.values())) for row in rows)])
    elif form == "json":
        text = json.dumps(rows, indent=1)
    else:
        text = "\n".join(map(json.dumps, rows))
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


FORMATS = ("parquet", "csv", "tsv", "jsonl", "ndjson", "json", "csv.gz", "tsv.gz", "jsonl.gz")


@pytest.mark.parametrize("form", FORMATS)
def test_an_id_is_the_text_that_stands_there(form: str, tmp_path: Path) -> None:
    rows = [{"track_id": each, "uri": f"s3://m/{each}"} for each in AS_IT_STANDS]
    assert read(write(tmp_path / f"m.{form}", rows)) == {row["track_id"]: row["uri"] for row in rows}


@pytest.mark.parametrize("form", FORMATS)
def test_a_whole_number_is_written_as_it_stands(form: str, tmp_path: Path) -> None:
    rows = [{"track_id": number, "uri": f"s3://m/{number}"} for number in (7, -1, 2**53 + 1)]
    assert list(read(write(tmp_path / f"m.{form}", rows))) == ["7", "-1", "9007199254740993"]


@pytest.mark.parametrize("value", [1.5, 7.0, True, {"a": 1}, [1]])
@pytest.mark.parametrize("column", ["track_id", "uri"])
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_value_with_several_spellings_is_refused(
    form: str, column: str, value: Any, tmp_path: Path
) -> None:
    row = {"track_id": "a", "uri": "s3://m/a", column: value}
    with pytest.raises(UsageError, match=rf"m\.{form}: .*{column}.* text"):
        read(write(tmp_path / f"m.{form}", [row]))


@pytest.mark.parametrize(
    "value", [datetime.date(2024, 1, 5), datetime.datetime(2024, 1, 5), datetime.time(1), decimal.Decimal(1)]
)
def test_a_date_of_parquet_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"m\.parquet: its column track_id has the type .*; expected text"):
        read(write(tmp_path / "m.parquet", [{"track_id": value, "uri": "s3://m/a"}]))


@pytest.mark.parametrize("kind", [pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_text_of_parquet_has_several_types(kind: pa.DataType, tmp_path: Path) -> None:
    ids, uris = pa.array(["a", "é"]).cast(kind), pa.array(["s3://m/a", "s3://m/é"]).cast(kind)
    pq.write_table(pa.table({"track_id": ids, "uri": uris, "seconds": [1.0, 2.0]}), tmp_path / "m.parquet")
    assert read(tmp_path / "m.parquet") == {"a": "s3://m/a", "é": "s3://m/é"}


@pytest.mark.parametrize("column", ["uri", "track_id"])
def test_a_doubled_column_is_refused(column: str, tmp_path: Path) -> None:
    names = ["uri", "track_id", column]
    pq.write_table(pa.table([["a"], ["b"], ["c"]], names=names), tmp_path / "m.parquet")
    (tmp_path / "m.csv").write_text(f"{','.join(names)}\na,b,c\n")
    (tmp_path / "m.jsonl").write_text(f'{{"uri": "a", "track_id": "b", "{column}": "c"}}')
    for form, words in (("parquet", "2 columns"), ("csv", "2 columns"), ("jsonl", "twice")):
        with pytest.raises(UsageError, match=rf"m\.{form}: .*{words}"):
            read(tmp_path / f"m.{form}")


def test_another_column_may_be_doubled_and_hold_anything(tmp_path: Path) -> None:
    pq.write_table(pa.table([["a.wav"], [1], [2.5]], names=["uri", "x", "x"]), tmp_path / "m.parquet")
    (tmp_path / "m.csv").write_text('uri,x,x\na.wav,1,"two\nlines, of text"\n')
    (tmp_path / "m.jsonl").write_text('{"uri": "a.wav", "x": 1}\n\n{"uri": "a.wav", "x": "y"}\n')
    for form in ("parquet", "csv", "jsonl"):
        assert list(read(tmp_path / f"m.{form}").values()) == [f"{tmp_path}/a.wav"]


@pytest.mark.parametrize(("mark", "end"), [(";", "\r\n"), ("\t", "\n")])
def test_a_spreadsheet_may_write_other_delimiters(mark: str, end: str, tmp_path: Path) -> None:
    lines = (f"\ufeffuri{mark}track_id", f"a, b.wav{mark}1,5")
    (tmp_path / "m.csv").write_text(end.join((*lines, "")), newline="")
    assert read(tmp_path / "m.csv") == {"1,5": f"{tmp_path}/a, b.wav"}


def test_a_folder_of_parts_is_one_manifest(tmp_path: Path) -> None:
    for folder in ("m.parquet", "export"):
        (tmp_path / folder / "year=2024").mkdir(parents=True)
        for part, key in (("part-0", "a"), ("year=2024/part-1", "b")):
            write(tmp_path / folder / f"{part}.parquet", [{"uri": f"{key}.wav", "track_id": key}])
        for other in ("_SUCCESS", "._part-0.parquet", "_part-2.parquet", ".part-0.parquet.crc"):
            (tmp_path / folder / other).write_bytes(b"no manifest")
        assert read(tmp_path / folder) == {"a": f"{tmp_path}/a.wav", "b": f"{tmp_path}/b.wav"}
    (tmp_path / "m.csv").mkdir()
    write(tmp_path / "m.csv/part-0.csv.gz", [{"uri": "c.wav"}])
    assert list(read(tmp_path / "m.csv").values()) == [f"{tmp_path}/c.wav"]


def test_parts_with_one_id_for_two_files_are_errors(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").mkdir()
    for part in ("a", "b"):
        write(tmp_path / f"m.parquet/{part}.parquet", [{"uri": f"{part}.wav", "track_id": "x"}])
    assert errors(tmp_path / "m.parquet") == ["the manifest gives the track_id x to several uris"] * 2


@pytest.mark.parametrize("name", ["m.m3u", "m.m3u8"])
def test_a_playlist_is_a_manifest(name: str, tmp_path: Path) -> None:
    lines = (
        "\ufeff#EXTM3U",
        "#EXTINF:123,Title, of a song",
        "./a é.flac",
        "",
        "/x/[b]%20.mp3",
        "file:///x/c%20d.wav",
    )
    (tmp_path / name).write_text("\r\n".join([*lines, "s3://m/e.wav", ""]), newline="")
    uris = [f"{tmp_path}/a é.flac", "/x/[b]%20.mp3", "file:///x/c d.wav", "s3://m/e.wav"]
    assert list(read(tmp_path / name).values()) == uris
    (tmp_path / "old.m3u").write_bytes("é.wav\n".encode("latin-1"))
    assert list(read(tmp_path / "old.m3u").values()) == [f"{tmp_path}/é.wav"]


def test_a_stream_in_pieces_is_no_playlist_of_tracks(tmp_path: Path) -> None:
    (tmp_path / "m.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\n1.ts\n")
    with pytest.raises(UsageError, match=r"m\.m3u8: an HLS playlist, .*; expected tracks"):
        read(tmp_path / "m.m3u8")


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ("./a.wav", "lists/a.wav"),
        ("./b/./c.wav", "lists/b/c.wav"),
        (".//a.wav", "lists/a.wav"),
        ("b//c.wav", "lists/b/c.wav"),
        ("../d.wav", "d.wav"),
        ("./b/../../d.wav", "d.wav"),
        ("./.hidden/..x.wav", "lists/.hidden/..x.wav"),
        ("...wav", "lists/...wav"),
        ("{}/lists/./a.wav", "lists/a.wav"),
        ("{}//lists/../d.wav", "d.wav"),
        ("file://{}/lists/./a.wav", "lists/a.wav"),
    ],
)
def test_the_paths_of_find_are_paths(row: str, path: str, tmp_path: Path) -> None:
    (tmp_path / "lists/b").mkdir(parents=True)
    row = row.replace("{}", str(tmp_path))
    write(tmp_path / "lists/m.csv", [{"uri": row}])
    expected = f"{tmp_path}/{path}"
    scheme = "file://" if row.startswith("file") else ""
    assert read(tmp_path / "lists/m.csv") == {expected.removeprefix("/"): scheme + expected}


def test_two_spellings_of_one_path_are_one_track(tmp_path: Path) -> None:
    write(tmp_path / "m.csv", [{"uri": "a.wav"}, {"uri": "./a.wav"}, {"uri": f"{tmp_path}/./a.wav"}])
    assert list(read(tmp_path / "m.csv").values()) == [f"{tmp_path}/a.wav"]


def test_above_a_linked_folder_is_what_the_disk_says(tmp_path: Path) -> None:
    (tmp_path / "real/lists").mkdir(parents=True)
    (tmp_path / "lists").symlink_to("real/lists")
    write(tmp_path / "lists/m.csv", [{"uri": "../a.wav"}])
    assert list(read(tmp_path / "lists/m.csv").values()) == [f"{tmp_path}/real/a.wav"]


def test_a_key_keeps_what_a_path_would_lose(bucket: str) -> None:
    rows = ["uri,track_id", "./a.wav,1", "../b.wav,2", "c//d.wav,3", f"{bucket}/./e.wav,4"]
    STORE.put_bytes("\n".join(rows).encode(), f"{bucket}/lists/m.csv")
    keys = {"1": "lists/a.wav", "2": "b.wav", "3": "lists/c//d.wav", "4": "./e.wav"}
    assert read(f"{bucket}/lists/m.csv") == {track_id: f"{bucket}/{key}" for track_id, key in keys.items()}


def test_a_name_that_is_not_utf_8_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"uri\n/m/caf\xe9.wav\n/m/good \xc3\xa9.wav\n")
    assert errors(tmp_path / "m.csv") == ["its name is not UTF-8", None]
    assert list(read(tmp_path / "m.csv").values()) == ["/m/caf\\xe9.wav", "/m/good é.wav"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("m.csv.gz", b"uri\na.wav\n", "not readable as csv: .*"),
        ("m.jsonl", b'{"path": "a.wav"}', "a manifest needs a column uri; this has path"),
        ("m.json", b"[]", "not readable as json: Empty JSON file"),
        ("m.json", b'[{"uri": "a.wav"}', "not readable as json: .*truncated"),
        ("m.tsv", b"./a.wav\n./b.wav\n", r"a manifest needs a column uri; this has \./a\.wav"),
        ("m.csv", b"", "a manifest needs a column uri; this has none"),
        ("m.csv", b"uri\na, b.wav\n", "line 2: expected 1 value, found 2: a, b.wav"),
    ],
)
def test_what_is_no_manifest_is_refused_by_name(name: str, data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=f"{name}: {words}"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (['"a.wav,a', "b.wav,b"], "line 2: unexpected end of data; is a quote left open"),
        (["a.wav,a", '"b.wav,b', 'c.wav",c'], "line 3: its uri has a line break; is a quote left open"),
        (["a.wav,a", 'b.wav,"b', "c.wav,c", 'd.wav,d"'], "line 3: its track_id has a line break"),
        (['"a\nb.wav",a', "c.wav,c"], "line 2: its uri has a line break"),
        (['a.wav,"a', 'b.wav,"b'], "line 2: .* is a quote left open"),
        (["a.wav,a", "", "b.wav,b,c"], "line 4: expected 2 values, found 3: b.wav,b,c"),
        (["a.wav,a", "b.wav"], "line 3: expected 2 values, found 1: b.wav"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_that_is_no_row_is_named(end: str, rows: list[str], words: str, tmp_path: Path) -> None:
    """A quote left open would hide all rows up to the next one."""
    text = "\n".join(["uri,track_id", *rows, ""]).replace("\n", end)
    (tmp_path / "m.csv").write_text(text, newline="")
    with pytest.raises(UsageError, match=rf"m\.csv: {words}"):
        read(tmp_path / "m.csv")


def test_rows_inside_a_value_of_another_column_are_not_lost(tmp_path: Path) -> None:
    rows = ["uri,title", 'a.wav,"First', "b.wav,Second", 'c.wav,Third"']
    (tmp_path / "m.csv").write_text("\n".join(rows))
    with pytest.raises(UsageError, match="line 2: its title holds a line that looks like a row"):
        read(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text('uri,title\na.wav,"First\nsecond, third"\n6" mix.wav,12" version\n')
    assert list(read(tmp_path / "m.csv").values()) == [f"{tmp_path}/a.wav", f'{tmp_path}/6" mix.wav']


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_comes_from_any_machine(end: str, encoding: str, tmp_path: Path) -> None:
    """Excel's "Unicode text" is UTF-16, and old Macs end lines with CR."""
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    for name, first in (("m.csv", "uri"), ("m.tsv", "uri"), ("m.m3u", "#EXTM3U"), ("m.m3u8", "#EXTM3U")):
        text = end.join([mark + first, "é.wav", "日本.wav", ""])
        (tmp_path / name).write_bytes(text.encode(encoding))
        assert list(read(tmp_path / name).values()) == [f"{tmp_path}/é.wav", f"{tmp_path}/日本.wav"]
    if end != "\r":
        rows = end.join([mark + '{"uri": "é.wav"}', '{"uri": "日本.wav"}', ""])
        (tmp_path / "m.jsonl").write_bytes(rows.encode(encoding))
        assert list(read(tmp_path / "m.jsonl").values()) == [f"{tmp_path}/é.wav", f"{tmp_path}/日本.wav"]


@pytest.mark.parametrize("name", ["m.csv", "m.m3u", "m.jsonl"])
def test_utf_16_without_its_mark_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes("uri\na.wav\n".encode("utf-16-le"))
    with pytest.raises(UsageError, match="expected text in UTF-8, or in UTF-16 with its mark"):
        read(tmp_path / name)


def test_a_column_of_json_is_not_one_that_lies_deeper(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"tracks": [{"uri": "a.wav", "track_id": "a"}]}')
    with pytest.raises(UsageError, match="a manifest needs a column uri; this has tracks"):
        read(tmp_path / "m.jsonl")


def test_a_number_beyond_64_bits_is_refused_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"uri": "a.wav", "track_id": 99999999999999999999}')
    with pytest.raises(UsageError, match=r"track_id as text: .*int64.*99999999999999999999"):
        read(tmp_path / "m.jsonl")
