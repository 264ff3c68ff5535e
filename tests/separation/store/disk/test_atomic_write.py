import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from separation.store.disk.atomic_write import TEMPORARY_NAME_BYTES, UNFINISHED, atomic_create, atomic_write


def test_a_file_is_the_old_one_until_it_is_the_whole_new_one(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"  # the folder is made
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"old")
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_failed_write_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"file": b"old"}


def test_what_a_killed_writer_leaves_is_known_by_its_name(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "file") as temporary:
        assert UNFINISHED.fullmatch(temporary.name)
        assert len(temporary.name) == TEMPORARY_NAME_BYTES
        assert temporary.parent == tmp_path
        temporary.touch()


@pytest.mark.parametrize("create", [False, True])
def test_the_bytes_reach_the_disk_before_the_name_does(
    create: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def noted(name: str, real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            calls.append(name)
            real(*arguments)

        return call

    for name in ("fsync", "replace", "link"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    if create:
        atomic_create(tmp_path / "file", b"new")
    else:
        with atomic_write(tmp_path / "file") as temporary:
            temporary.write_bytes(b"new")
    assert calls == ["fsync", "link" if create else "replace", "fsync"]


@pytest.mark.parametrize(("number", "is_written"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_file_system_may_have_no_sync_but_not_fail_at_it(
    number: int, is_written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    try:
        with atomic_write(tmp_path / "file") as temporary:
            temporary.write_bytes(b"new")
    except OSError as error:
        assert error.errno == number
    assert [each.name for each in tmp_path.iterdir()] == ["file"] * is_written


def test_new_folders_reach_the_disk_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []

    def fsync(descriptor: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_write(tmp_path / "a/b/file") as temporary:
        temporary.write_bytes(b"new")
    assert synced == [str(each) for each in (tmp_path, tmp_path / "a", temporary, tmp_path / "a/b")]


@pytest.fixture(params=[None, errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def hard_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system with hard links, or what one without them says."""
    if request.param:
        refusal = OSError(request.param, os.strerror(request.param))
        monkeypatch.setattr(os, "link", Mock(side_effect=refusal))


@pytest.mark.usefixtures("hard_links")
def test_of_many_writers_one_creates_a_file(tmp_path: Path) -> None:
    contents = [str(number).encode() * 1000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: atomic_create(tmp_path / "file", content), contents))
    (file,) = tmp_path.iterdir()
    assert file.read_bytes() in contents


@pytest.mark.usefixtures("hard_links")
def test_what_exists_is_not_created(tmp_path: Path) -> None:
    for data in (b"first", b"second"):
        atomic_create(tmp_path / "folder" / "file", data)
    assert {each.name: each.read_bytes() for each in (tmp_path / "folder").iterdir()} == {"file": b"first"}
