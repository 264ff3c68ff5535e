import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.pipeline import schema
from jobs.pipeline.catalogue.reading import Catalogue, pending, read_catalogue
from separation.errors import UsageError
from tests.stores import STORE


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.flac", "b/1.WAV", "a.mp3", "b/cover.jpg", "notes.txt"):
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "music"


def read(uri: str | Path, output: str | Path = "/nowhere") -> Catalogue:
    return read_catalogue(str(uri), str(output), STORE)


def ids(uri: str | Path, output: str | Path = "/nowhere") -> list[str]:
    return read(uri, output).tracks["track_id"].to_pylist()


def test_a_prefix_takes_what_is_named_as_audio(tree: Path) -> None:
    found = read(f"{tree}/")
    assert found.tracks["track_id"].to_pylist() == ["a.mp3", "b/1.WAV", "b/2.flac"]
    assert found.tracks["uri"].to_pylist() == [f"{tree}/{name}" for name in ids(tree)]
    assert found.describe_left_out() == "2 files without an audio name"


def test_a_relative_prefix_gives_the_same_ids(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.parent)
    assert ids("music") == ids(tree)


def test_a_glob_takes_what_it_names(tree: Path) -> None:
    assert ids(f"{tree}/b/*") == ["1.WAV", "2.flac", "cover.jpg"]
    assert ids(f"{tree}/**/*.flac") == ["b/2.flac"]


@pytest.mark.parametrize("name", ["[live]", "what?", "*", "a [b", "[a-c]*"])
def test_a_step_that_is_there_is_no_pattern(tree: Path, name: str) -> None:
    (tree / name).mkdir()
    for file in ("1.flac", "2 [remix].flac", "r.flac"):
        (tree / name / file).write_bytes(b"x")
    assert ids(tree / name) == ["1.flac", "2 [remix].flac", "r.flac"]
    assert ids(tree / name / "[12]*") == ["1.flac", "2 [remix].flac"]
    assert ids(tree / name / "2 [remix].flac") == ["2 [remix].flac"]
    assert ids(f"file://{tree}/{name}/") == ["1.flac", "2 [remix].flac", "r.flac"]


def test_the_tracks_of_a_linked_folder_are_tracks(tree: Path) -> None:
    (tree.parent / "linked").symlink_to(tree / "b")
    (tree / "a").symlink_to(tree.parent / "linked")  # into the catalogue itself
    (tree.parent / "elsewhere").mkdir()
    (tree.parent / "elsewhere/3.wav").write_bytes(b"x")
    (tree / "c").symlink_to(tree.parent / "elsewhere")
    assert ids(tree) == ["a.mp3", "b/1.WAV", "b/2.flac", "c/3.wav"]
    assert ids(tree.parent / "linked") == ["1.WAV", "2.flac"]


def test_one_file_is_a_catalogue_of_one(tree: Path) -> None:
    assert ids(tree / "b/2.flac") == ["2.flac"]


@pytest.mark.parametrize("extension", ["parquet", "csv", "jsonl"])
def test_a_manifest_names_uris_and_ids(tmp_path: Path, extension: str) -> None:
    rows = [{"uri": "s3://b/x.wav", "track_id": "007"}, {"uri": "near/y.wav", "track_id": "008"}]
    manifest = tmp_path / f"m.{extension}"
    if extension == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), manifest)
    elif extension == "csv":
        manifest.write_text("uri,track_id\n" + "".join(f"{r['uri']},{r['track_id']}\n" for r in rows))
    else:
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tracks = read(manifest).tracks
    assert tracks["track_id"].to_pylist() == ["007", "008"]
    assert tracks["uri"].to_pylist() == ["s3://b/x.wav", f"{tmp_path}/near/y.wav"]


def test_a_manifest_without_ids_takes_them_from_the_uris(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("uri\ns3://bucket/a/x.wav\n/data/y.wav\n")
    assert ids(manifest) == ["bucket/a/x.wav", "data/y.wav"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path\nx.wav\n", "column uri; this has path"),
        ("uri\n", "no tracks"),
    ],
)
def test_an_unusable_manifest_is_refused(tmp_path: Path, text: str, words: str) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text(text)
    with pytest.raises(UsageError, match=words):
        read(manifest)


def test_rows_that_cannot_be_told_apart_are_errors_and_the_others_go_on(tmp_path: Path) -> None:
    rows = [
        {"track_id": "a", "uri": "/m/1.wav"},
        {"track_id": "b", "uri": "/m/2.wav"},
        {"track_id": "b", "uri": "/m/3.wav"},
        {"track_id": "c", "uri": "s3://m/4.wav"},
        {"track_id": "c", "uri": "s3://m/4.wav"},
        {"track_id": "", "uri": "s3://m/5.wav"},
        {"track_id": None, "uri": "s3://m/6.wav"},
        {"track_id": "d", "uri": None},
        {"track_id": "é", "uri": "/m/7.wav"},
        {"track_id": "e\u0301", "uri": "/m/8.wav"},
    ]
    found = []
    for order in (rows, rows[::-1]):
        pq.write_table(pa.Table.from_pylist(order), tmp_path / "m.parquet")
        tracks = read(tmp_path / "m.parquet").tracks
        found.append({row["track_id"]: row["error"] for row in tracks.to_pylist()})
        assert len(found[-1]) == tracks.num_rows == 9
        kinds = {row["error_kind"] for row in tracks.to_pylist() if row["error"]}
        assert tracks.schema == schema.LISTED
        assert (kinds, tracks["error_kind"].null_count) == ({"bad_key"}, tracks["error"].null_count)
    assert found[0] == found[1]
    good = {"a", "c", "é", "e\u0301"}
    assert {track_id for track_id, error in found[0].items() if error is None} == good
    assert found[0]["/m/2.wav"] == found[0]["/m/3.wav"] == "the manifest gives the track_id b to several uris"
    assert found[0]["s3://m/5.wav"] == found[0]["s3://m/6.wav"] == "the manifest gives it no track_id"
    assert found[0]["d"] == "the manifest gives it no uri"


def test_a_name_that_is_not_utf_8_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "good é.wav").write_bytes(b"x")
    with open(os.fsencode(tmp_path) + b"/caf\xe9.wav", "wb") as file:
        file.write(b"x")
    tracks = read(tmp_path).tracks.to_pylist()
    assert {row["track_id"].rpartition("/")[2]: row["error"] for row in tracks} == {
        "good é.wav": None,
        "caf\\xe9.wav": "its name is not UTF-8",
    }


def test_a_manifest_that_is_none_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "m.parquet"
    manifest.write_bytes(b"PAR1 no")
    with pytest.raises(UsageError, match=r"m\.parquet: not readable as parquet"):
        read(manifest)


def test_pending_is_what_is_not_done() -> None:
    tracks = pa.table({"track_id": ["a", "b", "c"], "uri": ["1", "2", "3"]})
    assert pending(tracks, pa.chunked_array([["b"]]))["track_id"].to_pylist() == ["a", "c"]


@pytest.mark.parametrize(
    ("uri", "track_id"),
    [
        ("https://me:hush@host/it's #1.wav?sig=hush'?", "host/it's #1.wav"),
        ("simplecache::https://me:hush@host/a b.wav?sig=hush", "simplecache::https://host/a b.wav"),
    ],
)
def test_no_secret_becomes_an_id(uri: str, track_id: str, tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(json.dumps({"uri": uri}))
    assert track_id in ids(manifest)[0] and "hush" not in ids(manifest)[0]


def test_a_folder_without_parts_is_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "m.csv").mkdir()
    (tmp_path / "m.csv/a.jsonl").write_text('{"uri": "a.wav"}')
    words = r"m\.csv: a folder; expected a file, or a folder with parts in csv"
    with pytest.raises(UsageError, match=words):
        read_catalogue(str(tmp_path / "m.csv"), "/nowhere", STORE)


def test_the_order_of_a_manifest_is_kept(tmp_path: Path) -> None:
    """Whatever the names are: Arrow's groups keep the order for most and not for all."""
    for number in range(100):
        rows = [f"/m/{number}/a é.flac", "/x/[b]%20.mp3", "/x/c d.wav", "s3://m/e.wav"]
        (tmp_path / "m.csv").write_text("\n".join(["uri", *rows, *rows]))
        found = read_catalogue(str(tmp_path / "m.csv"), "/nowhere", STORE).tracks["uri"].to_pylist()
        assert found == rows
