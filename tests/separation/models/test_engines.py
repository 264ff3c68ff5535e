"""Both CPU engines meet the contract, and the cache of optimized graphs serves both."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from separation.contract import HTDEMUCS
from separation.errors import ModelError, StorageError, UsageError
from separation.models import graph_cache
from tests.bags import FOUR_STEMS
from tests.separation.models.test_graph import graph_file, load

CPU_ENGINES = {"cpu": "CPUExecutionProvider", "openvino": "OpenVINO CPU f32"}


@pytest.fixture(params=CPU_ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def segments() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 2, HTDEMUCS.segment), dtype=np.float32)


def test_an_engine_runs_both_kinds_of_graphs(engine: str, tmp_path: Path, segments: np.ndarray) -> None:
    ours = load(graph_file(tmp_path / "a.onnx"), provider=engine, threads=1)
    assert ours.provider == CPU_ENGINES[engine]
    assert np.array_equal(ours(segments), 2 * segments[:, None])
    assert ours.device
    path = graph_file(tmp_path / "b.onnx", [1, 2, HTDEMUCS.segment], ("input", "output"), rows=(1, 3, 5, 7))
    assert np.array_equal(
        load(path, "other", published=FOUR_STEMS, provider=engine)(segments),
        5 * segments[:, None],
    )


def test_an_engine_refuses_what_is_no_graph(engine: str, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    onnx.save(onnx.ModelProto(ir_version=8), path)  # well-formed, and no graph in it
    with pytest.raises(ModelError, match="cannot load it"):
        load(path, provider=engine)
    with pytest.raises(ModelError, match=r"the graph has .*expected mix float32 \(batch, 2, 343980\)"):
        load(graph_file(path, ["batch", 2, HTDEMUCS.segment - 1]), provider=engine)


def test_a_second_start_reads_what_the_first_has_optimized(
    engine: str, tmp_path: Path, segments: np.ndarray
) -> None:
    path, cache = graph_file(tmp_path / "a.onnx"), tmp_path / "optimized"
    load(path, provider=engine, threads=1, cache=cache)
    (entry,) = cache.iterdir()
    kept = entry.read_bytes()
    again = load(path, provider=engine, threads=1, cache=cache)
    assert np.array_equal(again(segments), 2 * segments[:, None])
    assert [*cache.iterdir()] == [entry] and entry.read_bytes() == kept

    other = graph_file(tmp_path / "b.onnx", rows=(), names=("mix", "stem"))
    other.write_bytes(other.read_bytes().replace(b"factor", b"FACTOR"))  # another graph, another entry
    load(other, provider=engine, threads=1, cache=cache)
    assert len([*cache.iterdir()]) == 2


@pytest.mark.parametrize("damage", ["a byte", "the end", "all"])
def test_a_damaged_entry_is_replaced(engine: str, damage: str, tmp_path: Path, segments: np.ndarray) -> None:
    path, cache = graph_file(tmp_path / "a.onnx"), tmp_path / "optimized"
    load(path, provider=engine, threads=1, cache=cache)
    (entry,) = cache.iterdir()
    kept = entry.read_bytes()
    middle = len(kept) // 2
    flipped = kept[:middle] + bytes([kept[middle] ^ 1]) + kept[middle + 1 :]
    entry.write_bytes({"a byte": flipped, "the end": kept[:-1], "all": b""}[damage])
    assert graph_cache.read(cache, entry.name) is None
    again = load(path, provider=engine, threads=1, cache=cache)
    assert np.array_equal(again(segments), 2 * segments[:, None])
    assert graph_cache.read(cache, entry.name) is not None


def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path: Path, segments: np.ndarray) -> None:
    blocked = tmp_path / "a file"
    blocked.write_bytes(b"")
    graph = load(graph_file(tmp_path / "a.onnx"), provider="cpu", cache=blocked / "x")
    assert np.array_equal(graph(segments), 2 * segments[:, None])


def test_an_entry_is_for_one_engine_and_one_graph() -> None:
    names = {
        graph_cache.key(b"graph", engine="a", version="1"),
        graph_cache.key(b"graph", engine="b", version="1"),
        graph_cache.key(b"graph", engine="a", version="2"),
        graph_cache.key(b"Graph", engine="a", version="1"),
    }
    assert len(names) == 4
    assert graph_cache.key(b"graph", engine="a", version="1") in names


def test_bf16_is_for_processors_with_amx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_cache, "processor", lambda: "flags\t\t: fpu avx2")
    with pytest.raises(UsageError, match="AMX"):
        load(graph_file(tmp_path / "a.onnx"), provider="openvino-bf16")


def test_a_cache_of_somebody_else_is_not_the_models_fault(engine: str, tmp_path: Path) -> None:
    (tmp_path / "optimized").symlink_to(tmp_path)
    path = graph_file(tmp_path / "a.onnx")
    with pytest.raises(StorageError, match="optimized: a link"):
        load(path, provider=engine, threads=1, cache=tmp_path / "optimized")
