import json
import multiprocessing
import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from separation.errors import ModelError
from separation.models.bag import Bag, SpecialistFile, fetch, read_bag, sha256_of, write_bag
from separation.store.objects import Store
from tests.stores import STORE

CONTENT = b"a graph, as far as a cache is concerned" * 1000


def bag_of(folder: Path, content: bytes = CONTENT) -> Bag:
    """Writes and returns a bag of one stem."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "drums.onnx"
    path.write_bytes(content)
    file = SpecialistFile("drums.onnx", sha256_of(path), len(content), "a.th", "0" * 64)
    bag = Bag(str(folder), "test", ("drums",), "fp32", {"drums": file}, "random --seed 3")
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


def test_what_is_written_is_read(tmp_path: Path) -> None:
    bag = bag_of(tmp_path)
    assert read_bag(tmp_path, STORE) == read_bag(str(tmp_path) + "/", STORE) == bag
    assert pickle.loads(pickle.dumps(bag)) == bag
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag.json", "drums.onnx"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"sample_rate": 48_000}, "sample_rate is 48000, expected 44100"),
        ({"segment": 343_979}, "segment is 343979, expected 343980"),
        ({"stride": None}, "stride is None, expected 257985"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"stems": []}, "expected a list of names"),
        ({"stems": ["drums", "drums"]}, "twice"),
        ({"stems": ["../../drums"]}, "a stem is called '../../drums'"),
        ({"stems": ["drums", "bass"]}, "expected one for each"),
        ({"specialists": {}}, "expected one for each"),
        ({"specialists": {"drums": {}}}, "specialist drums: file is None"),
    ],
)
def test_a_wrong_bag_says_what_is_wrong(tmp_path: Path, change: dict[str, object], expected: str) -> None:
    bag_of(tmp_path)
    path = tmp_path / "bag.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=expected) as caught:
        read_bag(tmp_path, STORE)
    assert str(path) in str(pickle.loads(pickle.dumps(caught.value)))


def name_drums(folder: Path, name: str) -> None:
    """A bag whose drums are in a file called so."""
    bag_of(folder)
    path = folder / "bag.json"
    content = json.loads(path.read_text())
    content["specialists"]["drums"]["file"] = name
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["../drums.onnx", "/etc/passwd", "a/b.onnx", "..", "", "a\\b.onnx"])
def test_no_file_outside_the_folder(tmp_path: Path, name: str) -> None:
    name_drums(tmp_path, name)
    with pytest.raises(ModelError, match="leaves the folder"):
        read_bag(tmp_path, STORE)


@pytest.mark.parametrize("name", ["d" * 300, "é" * 128, "drums\0.onnx", "drums\n.onnx", "\ud800.onnx"])
def test_no_file_name_that_no_disk_takes(tmp_path: Path, name: str) -> None:
    name_drums(tmp_path, name)
    with pytest.raises(ModelError, match="expected a name of at most 255 bytes"):
        read_bag(tmp_path, STORE)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "9" * 5_000])
def test_a_bag_json_that_python_cannot_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "bag.json").write_text(content)
    with pytest.raises(ModelError, match=r"bag\.json: not JSON: "):
        read_bag(tmp_path, STORE)


@pytest.mark.parametrize(("size", "expected"), [(0, "bytes is 0"), (2**31, "expected at most 2147483647")])
def test_no_size_that_no_graph_has(tmp_path: Path, size: int, expected: str) -> None:
    bag_of(tmp_path)
    path = tmp_path / "bag.json"
    content = json.loads(path.read_text())
    content["specialists"]["drums"]["bytes"] = size
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match=expected):
        read_bag(tmp_path, STORE)


def test_a_huge_bag_json_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "bag.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ModelError, match="1099511627776 bytes, expected at most 1000000"):
        read_bag(tmp_path, STORE)


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


def test_a_hash_cannot_be_a_path(tmp_path: Path) -> None:
    """The hash is the file's name in the cache."""
    bag_of(tmp_path)
    path = tmp_path / "bag.json"
    content = json.loads(path.read_text())
    content["specialists"]["drums"]["sha256"] = "../" * 21 + "a"
    path.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="64 hexadecimal digits"):
        read_bag(tmp_path, STORE)


def test_missing_and_broken_bags(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not found"):
        read_bag(tmp_path, STORE)
    (tmp_path / "bag.json").write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        read_bag(tmp_path, STORE)
    (tmp_path / "bag.json").write_text("[]")
    with pytest.raises(ModelError, match="expected a JSON object, found list"):
        read_bag(tmp_path, STORE)


def test_a_local_file_is_checked_and_used_in_place(tmp_path: Path) -> None:
    bag = bag_of(tmp_path / "models")
    cache = tmp_path / "cache"
    assert fetch(bag, "drums", cache, STORE) == tmp_path / "models" / "drums.onnx"
    assert not cache.exists()
    (tmp_path / "models" / "drums.onnx").write_bytes(b"b" + CONTENT[1:])
    with pytest.raises(ModelError, match="sha256 is"):
        fetch(bag, "drums", cache, STORE)
    with pytest.raises(ModelError, match="no specialist for vocals; it has drums"):
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


def test_demo_is_the_demonstration_model_and_a_folder_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = read_bag("demo", STORE)
    assert found.name == "band_ft" and len(found.stems) == 4
    assert all(fetch(found, stem, tmp_path, STORE).is_file() for stem in found.stems)
    with pytest.raises(ModelError, match="not found"):
        read_bag("./demo", STORE)
    bag_of(tmp_path / "demo")
    assert read_bag("demo", STORE) == found
    folder: str | Path
    for folder in ("./demo", "demo/", tmp_path / "demo", Path("demo"), str(tmp_path / "demo")):
        assert read_bag(folder, STORE).name == "test"


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
