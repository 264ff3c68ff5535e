"""A full local disk: what is said, and what goes on."""

import errno
import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import soundfile

from separation.__main__ import main
from separation.audio import stem_files
from separation.errors import StorageError
from separation.models.bag_json import read_bag
from separation.models.engines import onnx_runtime
from separation.models.graph import open_graph
from separation.store.disk import local_disk
from separation.store.disk.full_disk import DiskFull, room_in
from tests.bags import write_gain_bag
from tests.stores import STORE


def no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_names_the_folder_and_what_is_left(tmp_path: Path) -> None:
    with pytest.raises(DiskFull) as raised, room_in(tmp_path):
        raise StorageError("s3://models/drums.onnx", "why") from no_room()
    assert str(pickle.loads(pickle.dumps(raised.value))).startswith(f"disk full: {tmp_path} has ")
    assert raised.value.reason.endswith(" bytes left")


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "broken"), RuntimeError("broken"), StorageError("s3://x", "?")]
)
def test_another_error_on_a_disk_with_room_stays(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as raised, room_in(tmp_path):
        raise error
    assert raised.value is error


def test_a_library_that_does_not_say_why_is_asked_about_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("separation.store.disk.full_disk.LITTLE", 2**62)
    with pytest.raises(DiskFull), room_in(tmp_path):
        raise RuntimeError("System error.")


def test_a_download_to_a_full_disk_is_not_the_object_s_fault() -> None:
    fsspec.filesystem("memory").pipe("/full/drums.onnx", b"x" * 100_000)
    with pytest.raises(DiskFull, match="disk full: /dev has"):
        STORE.download("memory://full/drums.onnx", Path("/dev/full"))


def write_two_tracks(folder: Path) -> list[str]:
    tracks = [str(folder / f"{name}.wav") for name in "ab"]
    for track in tracks:
        soundfile.write(track, np.full((4_410, 2), 0.1), 44_100)
    return tracks


def test_the_next_track_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracks = write_two_tracks(tmp_path)
    monkeypatch.setattr(stem_files, "write_audio", full_once(stem_files.write_audio))
    arguments = ("--models", str(write_gain_bag(tmp_path / "models")), "--out", str(tmp_path / "out"))
    assert main([*tracks, *arguments]) == 1
    said = capsys.readouterr().err
    assert "error: disk full: " in said and "Traceback" not in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"b.wav", "stemfleet.json"}


def test_the_next_track_goes_on_where_the_output_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracks = write_two_tracks(tmp_path)
    monkeypatch.setattr(local_disk.shutil, "copyfileobj", full_once(local_disk.shutil.copyfileobj))
    arguments = ("--models", str(write_gain_bag(tmp_path / "models")), "--out", str(tmp_path / "out"))
    assert main([*tracks, *arguments]) == 1
    said = capsys.readouterr().err
    assert f"error: disk full: {tmp_path}/out/a.wav has " in said and "Traceback" not in said
    assert len(list((tmp_path / "out/b.wav").iterdir())) == 4


def test_the_next_track_goes_on_where_a_file_may_not_be_that_large(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seconds in (("long", 2), ("short", 0.1)):
        soundfile.write(tmp_path / f"{name}.wav", np.full((int(seconds * 44_100), 2), 0.1), 44_100)
    tracks = [str(tmp_path / f"{name}.wav") for name in ("long", "short")]
    arguments = ("--models", str(write_gain_bag(tmp_path / "models")), "--out", str(tmp_path / "out"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # as ulimit -f
    try:
        assert main([*tracks, *arguments]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert "error: file too large: " in said and "takes no file of that size" in said
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"short.wav", "stemfleet.json"}


def test_a_name_that_the_disk_refuses_is_no_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("separation.store.disk.full_disk.LITTLE", 2**62)
    with pytest.raises(StorageError, match="File name too long"):
        STORE.put_bytes(b"x", str(tmp_path / ("n" * 300)))


def full_once(write: Callable[..., Any]) -> Callable[..., Any]:
    """`write`, which at its first call finds no room."""
    errors = [no_room()]

    def writing(*arguments: Any) -> Any:
        if errors:
            raise errors.pop()
        return write(*arguments)

    return writing


def test_a_graph_that_cannot_be_cached_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_folder(prefix: str) -> None:
        raise no_room()

    models = write_gain_bag(tmp_path / "models")
    monkeypatch.setattr(onnx_runtime.tempfile, "TemporaryDirectory", no_folder)
    drums = open_graph(
        read_bag(models, STORE), "drums", models / "drums.onnx", "cpu", cache=tmp_path / "cache"
    )
    assert drums.provider == "CPUExecutionProvider"
    assert not list((tmp_path / "cache").iterdir())
