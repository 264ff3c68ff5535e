"""The output is never input: a second run over the same folders finds the same tracks."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.pipeline.catalogue.own_output import lie_below
from jobs.pipeline.catalogue.reading import read_catalogue
from separation.errors import UsageError
from tests.stores import STORE


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A track, and beside it the stems of an earlier run into `music/stems`."""
    for name in ("a.wav", "stems/stems/a.wav/drums.wav", "stems.wav", "stems-of-others/b.wav"):
        path = tmp_path / "music" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "music"


def ids(uri: str, output: str) -> list[str]:
    return read_catalogue(uri, output, STORE).tracks["track_id"].to_pylist()


@pytest.mark.parametrize("spelling", ["plain", "slash", "file", "relative", "dots", "link", "above"])
def test_what_lies_below_the_output_is_no_track(
    spelling: str, music: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(music / "stems")
    (tmp_path / "above").symlink_to(tmp_path)
    outputs = {
        "plain": f"{music}/stems",
        "slash": f"{music}/stems/",
        "file": f"file://{music}/stems",
        "relative": "music/stems",
        "dots": f"{music}/../music/./stems",
        "link": f"{tmp_path}/link",
        "above": f"{tmp_path}/above/music/stems",
    }
    left = ["a.wav", "stems-of-others/b.wav", "stems.wav"]
    for uri in (f"{music}", f"{music}/", f"file://{music}", f"{music}/**", "above/music"):
        assert ids(uri, outputs[spelling]) == left
    found = read_catalogue(str(music), outputs[spelling], STORE)
    assert found.describe_left_out() == "1 file of the output"


def test_a_link_to_a_stem_is_no_track(music: Path) -> None:
    (music / "link.wav").symlink_to(music / "stems/stems/a.wav/drums.wav")
    assert "link.wav" not in ids(str(music), f"{music}/stems")


def test_a_link_below_the_output_is_no_track_wherever_it_leads(music: Path) -> None:
    """As where git-annex, or somebody who is short of room, puts links in place of the stems."""
    elsewhere = music.parent / "annex"
    elsewhere.mkdir()
    stem = music / "stems/stems/a.wav/drums.wav"
    stem.rename(elsewhere / "drums.wav")
    stem.symlink_to(elsewhere / "drums.wav")
    (music / "stems/stems/b.wav").symlink_to(elsewhere)  # a folder of stems
    (music / "stems/stems/c.wav").symlink_to(elsewhere / "gone.wav")
    left = ["a.wav", "stems-of-others/b.wav", "stems.wav"]
    for uri in (f"{music}", f"file://{music}", f"{music}/**"):
        assert ids(uri, f"{music}/stems") == left


def test_an_output_that_is_not_there_yet_holds_nothing(music: Path) -> None:
    assert len(ids(str(music), f"{music}/new")) == 4


@pytest.mark.parametrize("output", [".", "..", "../link"])
@pytest.mark.parametrize("uri", ["", "/", "/a.wav", "/*.wav"])
def test_an_output_that_contains_the_input_is_refused(uri: str, output: str, music: Path) -> None:
    (music.parent / "link").symlink_to(music)
    with pytest.raises(UsageError, match=r"lies? within the output .*; choose an --output"):
        ids(f"{music}{uri}", os.path.normpath(music / output))


def test_an_output_contains_an_input_with_links_to_elsewhere(music: Path) -> None:
    (music.parent / "elsewhere").mkdir()
    (music.parent / "elsewhere/c.wav").write_bytes(b"x")
    (music / "link").symlink_to("../elsewhere")
    with pytest.raises(UsageError, match="music lies within the output"):
        ids(str(music), str(music))


def test_a_manifest_loses_its_rows_below_the_output(music: Path) -> None:
    rows = ["a.wav", "stems/stems/a.wav/drums.wav", "s3://music/stems/a.wav"]
    (music / "m.csv").write_text("\n".join(["uri,track_id", *(f"{row},{row}" for row in rows)]))
    assert ids(f"{music}/m.csv", f"{music}/stems") == [rows[0], rows[2]]
    assert ids(f"{music}/m.csv", "s3://music/stems") == rows[:2]


@pytest.mark.parametrize("output", ["s3://b/in/out", "s3://b/in/out/", "s3a://b/in/out"])
def test_a_bucket_has_several_spellings(output: str) -> None:
    below = ("s3://b/in/out/a.wav", "s3a://b/in/out/b.wav", "S3://b/in/out/c.wav")
    beside = (
        "s3://b/in/a.wav",
        "s3://b/in/output/a.wav",
        "s3://c/in/out/a.wav",
        "/b/in/out/a.wav",
        "http://b/in/out/a",
    )
    uris = pa.chunked_array([[*below, *beside]])
    assert lie_below(uris, output).to_pylist() == [True] * len(below) + [False] * len(beside)
