"""What systems leave in folders of music is no track, however it is called; what looks like it is one."""

from pathlib import Path

import pytest

from jobs.pipeline.catalogue.reading import Catalogue, read_catalogue
from separation.errors import UsageError
from tests.stores import STORE

LITTER = (
    "._a.flac",
    "b/._a.flac",
    ".DS_Store",
    ".Trash-1000/files/a.flac",
    ".Trash/a.flac",
    ".Trashes/501/a.flac",
    "b/@eaDir/a.flac/SYNOAUDIO_ALBUM.mp3",
    "#recycle/a.flac",
    "$RECYCLE.BIN/S-1/a.flac",
    "System Volume Information/a.wav",
    "lost+found/a.wav",
    ".snapshot/hourly.0/a.flac",
    ".zfs/snapshot/now/a.flac",
    ".git/annex/objects/x/a.flac",
    "__MACOSX/b/._a.flac",
    "b/.AppleDouble/a.flac",
    "b/.nfs0000000000a1b2c300000001",
    ".stversions/a~20240105.flac",
)
MUSIC = (
    ".38 Special/Hold On.mp3",
    "...And You Will Know Us/.wav",
    ".hidden.flac",
    "_a.flac",
    "a._b.flac",
    "lost+found.wav",
    "@eaDir.mp3",
    "trash/a.flac",
    ".Trash talk/a.flac",
    "snapshots/a.flac",
    "b/.git.flac",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*LITTER, *MUSIC, "notes.txt"):
        path = tmp_path / ".Trash-0" / name  # a folder that is asked for is no litter
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / ".Trash-0"


def read(uri: str) -> Catalogue:
    return read_catalogue(uri, "/nowhere", STORE)


def test_litter_is_left_out_and_counted(folder: Path) -> None:
    found = read(str(folder))
    assert set(found.tracks["track_id"].to_pylist()) == set(MUSIC) - {"...And You Will Know Us/.wav"}
    of_system = f"{len(LITTER)} files of the system (._x, trash, snapshots)"
    assert found.describe_left_out() == f"2 files without an audio name, {of_system}"


def test_a_glob_takes_no_litter_but_what_it_names(folder: Path) -> None:
    found = read(f"{folder}/**/*.flac").tracks["track_id"].to_pylist()
    assert set(found) == {name for name in MUSIC if name.endswith(".flac")}
    assert read(f"{folder}/b/._*").tracks["track_id"].to_pylist() == ["._a.flac"]
    assert read(f"{folder}/._a.flac").tracks["track_id"].to_pylist() == ["._a.flac"]


def test_litter_alone_is_no_catalogue(tmp_path: Path) -> None:
    (tmp_path / "._a.flac").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"no tracks \(1 file of the system \(\._x, trash, snapshots\)\)"):
        read(str(tmp_path))
