"""Folders as disks have them: with links, some of which lead round in a circle."""

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from separation.errors import ErrorKind, TrackError
from separation.store.source_cache import SourceCache
from tests.stores import STORE


def listed(folder: Path, pattern: str = "") -> list[str]:
    return [os.path.relpath(file.uri, folder) for file in STORE.find_files(str(folder), pattern)]


@pytest.fixture
def music(tmp_path: Path) -> Path:
    for name in ("music/b/1.wav", "music/b.wav", "other/2.wav", "other/deep/3.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "music"


def test_a_link_to_a_folder_is_followed(music: Path) -> None:
    (music / "a").symlink_to("../other")
    assert listed(music) == ["a/2.wav", "a/deep/3.wav", "b.wav", "b/1.wav"]
    assert listed(music, "*/*.wav") == ["a/2.wav", "b/1.wav"]


def test_a_folder_with_several_paths_is_listed_once(music: Path) -> None:
    (music / "a").symlink_to(music / "b")  # its own path comes later, and counts
    (music / "c").symlink_to("../other/deep")
    (music / "d").symlink_to("../other")
    assert listed(music) == ["b.wav", "b/1.wav", "c/3.wav", "d/2.wav"]


def test_links_in_a_circle_end(music: Path) -> None:
    (music / "self").symlink_to(".")
    (music / "up").symlink_to("..")
    (music / "b/root").symlink_to(music)
    (music.parent / "other/back").symlink_to(music)
    for number in range(12):  # each leads to all others: more paths than could ever be listed
        folder = music.parent / f"ring/{number}"
        folder.mkdir(parents=True)
        for other in range(12):
            (folder / str(other)).symlink_to(f"../{other}")
    assert listed(music) == ["b.wav", "b/1.wav", "up/other/2.wav", "up/other/deep/3.wav"]


def test_a_link_is_listed_where_its_target_is_not(music: Path) -> None:
    (music / "gone.wav").symlink_to("nowhere")
    (music / "round").symlink_to("round")
    assert listed(music) == ["b.wav", "b/1.wav", "gone.wav", "round"]


def test_what_belongs_to_us_is_listed_without_following(music: Path) -> None:
    """What a sweep removes from an output must not lie elsewhere."""
    (music / "a").symlink_to("../other")
    found = [os.path.relpath(file.uri, music) for file in STORE.list_files(str(music))]
    assert found == ["a", "b.wav", "b/1.wav"]


@pytest.fixture
def as_modes_say() -> Iterator[None]:
    """Takes from this thread what lets root read any folder: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    libc, this_thread = ctypes.CDLL(None), struct.pack("=Ii", 0x2008_0522, 0)  # of capability.h's version 3
    held = ctypes.create_string_buffer(24)
    assert libc.capget(this_thread, held) == 0
    effective, *others = struct.unpack("=6I", held.raw)
    assert libc.capset(this_thread, struct.pack("=6I", effective & ~0b110, *others)) == 0
    yield
    assert libc.capset(this_thread, held.raw) == 0


@pytest.mark.usefixtures("as_modes_say")
def test_a_closed_folder_is_left_out_with_a_word(music: Path, caplog: pytest.LogCaptureFixture) -> None:
    (music / "b").chmod(0)
    assert listed(music) == ["b.wav"]
    assert "b: no permission to list this folder" in caplog.text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", "a folder; expected a file"),
        ("pipe", "a named pipe; expected a file"),
        ("circle", "a link that leads round in a circle"),
        ("device", "a device; expected a file"),
    ],
)
def test_what_is_no_file_is_not_missing(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "device").symlink_to("/dev/null")
    cache = SourceCache(tmp_path / "cache", 0, STORE)
    with pytest.raises(TrackError) as caught:
        cache.stat(str(tmp_path / name))
    assert (caught.value.kind, caught.value.reason) == (ErrorKind.BAD_URI, reason)
    with pytest.raises(FileNotFoundError):  # for whoever looks for a file
        STORE.stat(str(tmp_path / name))


@pytest.mark.parametrize("name", ["nothing", "link", "file/below", "n" * 300, "zero\0byte"])
def test_what_is_not_there_is_missing(name: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nothing")
    (tmp_path / "file").touch()
    with pytest.raises(TrackError) as caught:
        SourceCache(tmp_path / "cache", 0, STORE).stat(str(tmp_path / name))
    assert caught.value.kind == ErrorKind.MISSING
