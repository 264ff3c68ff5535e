"""A cache under a name that everybody knows: what others put there is neither used nor overwritten."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.pipeline.stages.slots import Slots
from separation.errors import StorageError
from separation.models import graph_cache
from separation.models.bag_json import read_bag
from separation.models.graph_files import fetch
from separation.store.disk.private_folder import open_private, private_folder
from separation.store.source_cache import SourceCache
from tests.bags import write_gain_bag
from tests.stores import STORE

URI = "memory://private/song"


@pytest.fixture(autouse=True)
def source_and_open_umask() -> Iterator[None]:
    """What is made without a mode can be read and written by everybody."""
    STORE.put_bytes(b"audio", URI)
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def fetch_source(folder: Path) -> None:
    with SourceCache(folder, 10**6, STORE).open(URI, STORE.stat(URI).etag):
        pass


def fetch_model(folder: Path) -> None:
    models = write_gain_bag(folder.parents[1] / "models of the bag")
    for file in models.iterdir():
        STORE.put_bytes(file.read_bytes(), f"memory://private/models/{file.name}")
    fetch(read_bag("memory://private/models", STORE), "drums", folder, STORE)


def keep_graph(folder: Path) -> None:
    graph_cache.read(folder, "graph")
    graph_cache.write(folder, "graph", b"optimized")


def take_slot(folder: Path) -> None:
    with Slots(folder, 1).take():
        pass


USES = [fetch_source, fetch_model, keep_graph, take_slot]


@pytest.mark.parametrize("use", USES)
def test_folders_and_files_are_for_this_user_alone(use: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "cache/part"
    use(folder)
    (file,) = folder.iterdir()
    assert (mode(folder.parent), mode(folder), mode(file)) == (0o700, 0o700, 0o600)


@pytest.mark.parametrize("use", USES)
def test_a_folder_of_an_older_version_is_closed(use: Callable[[Path], None], tmp_path: Path) -> None:
    folder = tmp_path / "cache/part"
    folder.mkdir(parents=True)
    use(folder)
    assert mode(folder) == 0o700


@pytest.mark.parametrize("use", USES)
def test_a_link_in_place_of_a_folder_is_refused(use: Callable[[Path], None], tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    folder = tmp_path / "cache/part"
    folder.parent.mkdir()
    folder.symlink_to(victim)
    with pytest.raises(StorageError, match=r"cache/part: a link or a file"):
        use(folder)
    assert not list(victim.iterdir()) and mode(victim) == 0o777


@pytest.mark.parametrize("made", ["cache", "cache/part"])
@pytest.mark.parametrize("use", USES)
def test_a_folder_that_somebody_else_made_is_refused(
    use: Callable[[Path], None], made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache/part"
    (tmp_path / made).mkdir(parents=True)
    real = Path.lstat if made == "cache/part" else Path.stat
    other = os.stat_result((0o40777, 0, 0, 1, os.geteuid() + 1, 0, 0, 0, 0, 0))

    def seen(path: Path, **options: bool) -> os.stat_result:
        return other if path == tmp_path / made else real(path, **options)

    monkeypatch.setattr(Path, real.__name__, seen)
    with pytest.raises(StorageError, match=rf"{made}: belongs to user {os.geteuid() + 1}, not to this one"):
        use(folder)


@pytest.mark.parametrize("use", USES)
def test_a_link_in_place_of_a_file_is_neither_followed_nor_used(
    use: Callable[[Path], None], tmp_path: Path
) -> None:
    folder, victim = tmp_path / "cache/part", tmp_path / "victim"
    use(folder)
    (file,) = folder.iterdir()
    victim.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(victim)
    before = victim.stat()
    if use is fetch_model:  # its hash says that it is the right one, wherever it lies
        use(folder)
    else:
        with pytest.raises(StorageError, match="a link; expected a file of this user's"):
            use(folder)
    assert victim.stat().st_mtime_ns == before.st_mtime_ns


def test_a_source_is_not_fetched_through_a_link(tmp_path: Path) -> None:
    etag, folder, victim = STORE.stat(URI).etag, tmp_path / "cache/sources", tmp_path / "victim"
    private_folder(folder)
    name = hashlib.sha256(f"{URI}\n{etag}".encode()).hexdigest()
    (folder / f"{name}.part").symlink_to(victim)
    sources = SourceCache(folder, 10**6, STORE)
    with pytest.raises(StorageError, match="a link"), sources.open(URI, etag):
        pass
    assert not victim.exists()


def test_somebody_elses_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "planted"
    path.write_bytes(b"")
    user = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    for how in ("rb", "ab"):
        with pytest.raises(StorageError, match=rf"planted: belongs to user {user - 1}, not to this one"):
            open_private(path, how)


def test_an_optimized_graph_that_others_could_write_is_made_again(tmp_path: Path) -> None:
    graph_cache.write(tmp_path / "optimized", "graph", b"ours")
    (tmp_path / "optimized/graph").chmod(0o664)
    assert graph_cache.read(tmp_path / "optimized", "graph") is None
    graph_cache.write(tmp_path / "optimized", "graph", b"again")
    assert graph_cache.read(tmp_path / "optimized", "graph") == b"again"
