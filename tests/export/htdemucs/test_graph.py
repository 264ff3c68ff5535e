import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper

from export.htdemucs.arguments import SOURCES
from export.htdemucs.graph import HTDemucsModule, to_onnx
from export.htdemucs.random_bag import RandomBag
from export.htdemucs.transformer import TransformerLayer
from export.onnx_file import store_halves
from export.parity import BARS, Parity, compare, compare_rows, music_like, torch_rows
from separation.contract import HTDEMUCS
from separation.models.bag import Bag
from separation.models.graph import Graph
from tests.export.conftest import ENGINES, SMALL, music, small_graph


@pytest.fixture(scope="module")
def full_size():
    """htdemucs_ft's architecture with hot weights, a segment, and all that PyTorch makes of it."""
    model = RandomBag(hot=True).model("drums")
    segments = music_like(1)
    with torch.no_grad():
        return model, segments, model(torch.from_numpy(segments)).numpy()


def measure(stem: str, graph: Callable[[np.ndarray], np.ndarray], segments: np.ndarray) -> Parity:
    """`graph`, (n, 2, segment) -> (n, 1, 2, segment), against its row of the stem's model of SMALL."""
    return compare(torch_rows(SMALL.model(stem), [SOURCES.index(stem)], segments), graph(segments))


@pytest.mark.parametrize(
    ("rows", "provider"),
    [
        (("vocals",), "cpu"),
        pytest.param(("vocals",), "openvino", marks=pytest.mark.long),
        pytest.param(SOURCES, "cpu", marks=pytest.mark.long),
        pytest.param(SOURCES, "openvino", marks=pytest.mark.long),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value),
)
def test_full_size_parity(full_size, rows: tuple[str, ...], provider: str, tmp_path: Path) -> None:
    model, segments, expected = full_size
    path = tmp_path / "graph.onnx"
    indexes = [SOURCES.index(row) for row in rows]
    path.write_bytes(to_onnx(HTDemucsModule(model, indexes)))
    graph = Graph(path, "graph", HTDEMUCS, rows, provider=provider, threads=1)
    for row, parity in zip(rows, compare_rows(expected[:, indexes], graph(segments)), strict=True):
        assert parity.snr_db > 110 and parity.max_over_peak <= 2e-6, (row, parity)
    assert path.stat().st_size < 87e6


BEFORE = {  # sha256 of graphs of one row, from before a graph could have several or another segment
    ("fp32", "drums"): "faf74a2781b654c2047b70be3283180f5ac87445b58a4f6a396ada44e1030fd1",
    ("int8", "vocals"): "627eab6aa5b95babdf36117917b6da209b333cb9e0c71fc696bdff334387cd4a",
    ("fp16", "vocals"): "883d6512c0678a4885c67d6e416d30792000fea17fa8d14a8f0a0314219076a6",
}


@pytest.mark.parametrize(("precision", "stem"), BEFORE)
def test_graphs_of_one_row_keep_their_bytes(precision: str, stem: str) -> None:
    """An output folder is bound to its models' sha256: the same checkpoint must go on with it."""
    bag = RandomBag(seed=5, hot=True, channels=8, bottom_channels=16, layers=1, heads=1)
    content = to_onnx(HTDemucsModule(bag.model(stem), [SOURCES.index(stem)], precision))
    assert hashlib.sha256(content).hexdigest() == BEFORE[precision, stem]


def test_parity_sees_a_missing_softmax_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention must reach the output of the test's weights, or every other figure here is worthless."""
    model = SMALL.model("bass")

    def unscaled(layer, x, other):
        layer.query.weight.data *= (layer.query.weight.shape[0] / layer.heads) ** 0.5
        return original(layer, x, other)

    def rewritten(mix: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return HTDemucsModule(model, [1])(torch.from_numpy(mix)).numpy()[:, None]

    assert measure("bass", rewritten, music(1)).meets(BARS["fp32"])
    original = TransformerLayer.forward
    monkeypatch.setattr(TransformerLayer, "forward", unscaled)
    broken = measure("bass", rewritten, music(1))
    assert broken.snr_db < 60 and not broken.meets(BARS["fp32"])


def test_a_batch_is_its_segments(small_folder: tuple[Path, Bag]) -> None:
    """The batch axis is free, and levels are taken for each segment alone."""
    folder, _ = small_folder
    session = onnxruntime.InferenceSession(folder / "vocals.onnx")
    graph = small_graph(folder / "vocals.onnx", "vocals")
    segments = np.concatenate([music(1), 0.01 * music(2), 0 * music(3)])
    together = session.run(["stem"], {"mix": segments})[0]
    for index, alone in enumerate(graph(segments)[:, 0]):
        assert np.isfinite(alone).all()
        assert np.abs(together[index] - alone).max() <= 5e-6 * max(np.abs(alone).max(), 1e-3)
    assert measure("vocals", graph, segments[:2]).meets(BARS["fp32"])


def test_rows_of_a_batch_stay_with_their_segment(tmp_path: Path) -> None:
    """Rows are folded into the batch for the inverse transform."""
    path = tmp_path / "graph.onnx"
    model = SMALL.model("vocals")
    path.write_bytes(to_onnx(HTDemucsModule(model, [3, 0])))
    segments = np.concatenate([music(1), 0.1 * music(2)])
    found = onnxruntime.InferenceSession(path).run(["stems"], {"mix": segments})[0]
    expected = torch_rows(model, [3, 0], segments)
    for segment in range(2):
        for row in range(2):
            parity = compare(expected[segment, row], found[segment, row])
            assert parity.meets(BARS["fp32"]), (segment, row, parity)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_session_from_the_cache_gives_the_same_bits(
    engine: str, small_folder: tuple[Path, Bag], tmp_path: Path
) -> None:
    path, segments = small_folder[0] / "vocals.onnx", music(1)
    made = small_graph(path, "vocals", engine)(segments)
    assert measure("vocals", lambda _: made, segments).meets(BARS["fp32"])
    for _ in range(2):  # the first fills the cache, the second starts from it
        cached = small_graph(path, "vocals", engine, cache=tmp_path)
        assert np.array_equal(cached(segments), made)
        assert np.array_equal(cached(segments), made)  # and so does its second run


def test_halves_give_the_bits_of_float32(
    small_folder: tuple[Path, Bag], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.onnx_file.store_halves", lambda graph: None)
    path = tmp_path / "drums.onnx"
    path.write_bytes(to_onnx(HTDemucsModule(SMALL.model("drums"), [0])))
    halves, segments = small_folder[0] / "drums.onnx", music(1)
    assert halves.stat().st_size < path.stat().st_size
    found = [small_graph(each, "drums")(segments) for each in (halves, path)]
    assert np.array_equal(*found)


def test_int8_meets_its_bar_in_a_smaller_file(small_folder: tuple[Path, Bag], tmp_path: Path) -> None:
    model, path = SMALL.model("drums"), tmp_path / "drums.onnx"
    path.write_bytes(to_onnx(HTDemucsModule(model, [0], "int8")))
    for engine in ENGINES:
        parity = measure("drums", small_graph(path, "drums", engine), music(1))
        assert parity.meets(BARS["int8"]) and not parity.meets(BARS["fp32"]), engine
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("DynamicQuantizeMatMul") == 2 * 2 * 6  # layers, branches, products of a layer


def test_fp16_meets_its_bar_and_keeps_the_statistics(tmp_path: Path) -> None:
    model, path = SMALL.model("drums"), tmp_path / "drums.onnx"
    path.write_bytes(to_onnx(HTDemucsModule(model, [0], "fp16")))
    parity = measure("drums", small_graph(path, "drums"), music(1))
    assert parity.meets(BARS["fp16"]) and not parity.meets(BARS["fp32"])
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    found = {
        kind: {kinds.get(node.output[0]) for node in graph.node if node.op_type == kind}
        for kind in ("Conv", "ConvTranspose", "ReduceMean", "ReduceSum", "LayerNormalization")
    }
    assert found.pop("Conv") == found.pop("ConvTranspose") == {TensorProto.FLOAT16}
    assert all(each == {TensorProto.FLOAT} for each in found.values()), found


def test_the_same_weights_give_the_same_bytes(small_folder: tuple[Path, Bag]) -> None:
    folder, _ = small_folder
    again = to_onnx(HTDemucsModule(SMALL.model("drums"), [0]))
    assert again == (folder / "drums.onnx").read_bytes()


def test_export_leaves_the_model_alone() -> None:
    model = SMALL.model("drums")
    segments = music(1)
    before = torch_rows(model, [0], segments)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    HTDemucsModule(model, [0])
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert np.array_equal(before, torch_rows(model, [0], segments))


def test_the_graph_asks_nothing_about_shapes(small_folder: tuple[Path, Bag]) -> None:
    graph = onnx.load(small_folder[0] / "drums.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert not kinds & {"Shape", "If", "Loop", "STFT", "DFT"}, kinds


def test_halves_are_stored_only_where_nothing_is_lost() -> None:
    exact = np.full(2048, 0.5, np.float32)
    inexact = np.append(exact, np.float32(1 / 3))
    tensors = {"exact": exact, "inexact": inexact, "huge": exact * 1e9, "small": exact[:8]}
    graph = onnx.helper.make_graph(
        [], "graph", [], [], [numpy_helper.from_array(values, name) for name, values in tensors.items()]
    )
    store_halves(graph)
    found = {tensor.name: tensor.data_type for tensor in graph.initializer}
    assert found.pop("exact.half") == TensorProto.FLOAT16
    assert found == dict.fromkeys(["inexact", "huge", "small"], TensorProto.FLOAT)
    assert [(node.op_type, *node.input, *node.output) for node in graph.node] == [
        ("Cast", "exact.half", "exact")
    ]
