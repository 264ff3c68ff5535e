import multiprocessing
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from separation.errors import ModelError
from separation.models.bag import Bag
from separation.models.bag_json import read_bag, write_bag
from separation.models.graph_files import fetch, sha256_of
from separation.store.objects import Store
from tests.bags import bag_of_stems, graph_file
from tests.stores import STORE

CONTENT = b"a graph, as far as a cache is concerned" * 1000


def bag_of(folder: Path, content: bytes = CONTENT) -> Bag:
    """Writes and returns a bag of one stem."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "drums.onnx").write_bytes(content)
    bag = replace(
        bag_of_stems(["drums"]),
        uri=str(folder),
        graphs={"drums": graph_file("drums.onnx", content, "contract", ("drums",))},
    )
    write_bag(bag, folder)
    return bag


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[str]:
    """The URI of such a bag in a store (fsspec's memory), another one for every test."""
    local = tmp_path / "source"
    bag_of(local)
    name = f"/{uuid.uuid4().hex}"
    fs = fsspec.filesystem("memory")
    fs.put(str(local), name, recursive=True)
    yield f"memory:/{name}"
    fs.rm(name, recursive=True)


def test_an_object_of_another_size_is_not_downloaded(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = read_bag(remote, STORE)
    fsspec.filesystem("memory").pipe(remote.removeprefix("memory:/") + "/drums.onnx", CONTENT * 2)
    monkeypatch.setattr(Store, "download", lambda store, uri, target: pytest.fail("was downloaded"))
    with pytest.raises(ModelError, match=f"{2 * len(CONTENT)} bytes, expected {len(CONTENT)}"):
        fetch(bag, "drums", tmp_path / "cache", STORE)


def test_wrong_bytes_of_the_right_size_are_asked_for_once_more(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_out = iter([CONTENT[::-1], CONTENT])
    monkeypatch.setattr(
        "separation.store.objects.Store.download",
        lambda store, uri, target: target.write_bytes(next(handed_out)),
    )
    assert fetch(read_bag(remote, STORE), "drums", tmp_path / "cache", STORE).read_bytes() == CONTENT


def test_a_local_file_is_checked_and_used_in_place(tmp_path: Path) -> None:
    bag = bag_of(tmp_path / "models")
    cache = tmp_path / "cache"
    assert fetch(bag, "drums", cache, STORE) == tmp_path / "models" / "drums.onnx"
    assert not cache.exists()
    (tmp_path / "models" / "drums.onnx").write_bytes(b"b" + CONTENT[1:])
    with pytest.raises(ModelError, match="sha256 is"):
        fetch(bag, "drums", cache, STORE)
    with pytest.raises(ModelError, match="no graph vocals; it has drums"):
        fetch(bag, "vocals", cache, STORE)


def test_a_remote_file_is_cached_under_its_hash(remote: str, tmp_path: Path) -> None:
    bag, cache = read_bag(remote, STORE), tmp_path / "cache"
    path = fetch(bag, "drums", cache, STORE)
    assert path.read_bytes() == CONTENT
    assert [each.name for each in cache.iterdir()] == [f"{sha256_of(path)}.onnx"]
    fsspec.filesystem("memory").rm(remote.removeprefix("memory:/") + "/drums.onnx")
    assert fetch(bag, "drums", cache, STORE) == path


@pytest.mark.parametrize("wrong", [CONTENT[:-1], b"b" + CONTENT[1:], b""])
def test_a_corrupt_cache_entry_is_fetched_again(remote: str, tmp_path: Path, wrong: bytes) -> None:
    bag = read_bag(remote, STORE)
    path = fetch(bag, "drums", tmp_path, STORE)
    path.write_bytes(wrong)
    assert fetch(bag, "drums", tmp_path, STORE).read_bytes() == CONTENT


def test_wrong_bytes_at_the_source_never_reach_the_cache(remote: str, tmp_path: Path) -> None:
    bag, cache = read_bag(remote, STORE), tmp_path / "cache"
    fsspec.filesystem("memory").pipe(remote.removeprefix("memory:/") + "/drums.onnx", b"b" + CONTENT[1:])
    with pytest.raises(ModelError, match="sha256 is"):
        fetch(bag, "drums", cache, STORE)
    assert list(cache.iterdir()) == []
    fsspec.filesystem("memory").rm(remote.removeprefix("memory:/") + "/drums.onnx")
    with pytest.raises(ModelError, match="not found"):
        fetch(bag, "drums", cache, STORE)


def _fetch_in_a_process(bag: Bag, source: Path, cache: Path, ready: object) -> None:
    fsspec.filesystem("memory").pipe(bag.uri.removeprefix("memory:/") + "/drums.onnx", source.read_bytes())
    ready.wait()  # type: ignore[attr-defined]
    if fetch(bag, "drums", cache, STORE).read_bytes() != source.read_bytes():
        raise SystemExit(1)


def test_many_processes_at_once(remote: str, tmp_path: Path) -> None:
    bag, cache = read_bag(remote, STORE), tmp_path / "cache"
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(4)
    arguments = (bag, tmp_path / "source" / "drums.onnx", cache, ready)
    processes = [context.Process(target=_fetch_in_a_process, args=arguments) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert [path.suffix for path in cache.iterdir()] == [".onnx"]
