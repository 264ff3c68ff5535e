from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper

from export.htdemucs.graph import SpecialistModule, to_onnx
from export.htdemucs.random_bag import RandomBag
from export.htdemucs.transformer import TransformerLayer
from export.onnx_file import store_halves
from export.parity import BARS, compare, measure, music_like, torch_stem
from separation.contract import STEMS
from separation.models.bag import Bag
from separation.models.specialist import Specialist
from tests.export.conftest import SMALL

ENGINES = ("cpu", "openvino")


@pytest.fixture(scope="module")
def full_size():
    """htdemucs_ft's architecture with hot weights, a segment, and all that PyTorch makes of it."""
    model = RandomBag(hot=True).model("drums")
    segments = music_like(1)
    with torch.no_grad():
        return model, segments, model(torch.from_numpy(segments)).numpy()


@pytest.mark.parametrize("stem", STEMS)
def test_full_size_parity(full_size, stem: str, tmp_path: Path) -> None:
    model, segments, expected = full_size
    row = STEMS.index(stem)
    path = tmp_path / f"{stem}.onnx"
    path.write_bytes(to_onnx(SpecialistModule(model, row)))
    for provider in ENGINES:
        specialist = Specialist(path, stem, provider=provider, threads=1)
        parity = compare(expected[:, row], specialist(segments))
        assert parity.snr_db > 110 and parity.max_over_peak <= 2e-6, (provider, parity)
    assert path.stat().st_size < 87e6


def test_parity_sees_a_missing_softmax_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention must reach the output of the test's weights, or every other figure here is worthless."""
    model = SMALL.model("bass")
    segments = music_like(1)

    def unscaled(layer, x, other):
        layer.query.weight.data *= (layer.query.weight.shape[0] / layer.heads) ** 0.5
        return original(layer, x, other)

    def rewritten(mix: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return SpecialistModule(model, 1)(torch.from_numpy(mix)).numpy()

    assert measure(model, 1, rewritten, segments).meets(BARS["fp32"])
    original = TransformerLayer.forward
    monkeypatch.setattr(TransformerLayer, "forward", unscaled)
    broken = measure(model, 1, rewritten, segments)
    assert broken.snr_db < 60 and not broken.meets(BARS["fp32"])


def test_a_batch_is_its_segments(small_folder: tuple[Path, Bag]) -> None:
    """The batch axis is free, and levels are taken for each segment alone."""
    folder, _ = small_folder
    session = onnxruntime.InferenceSession(folder / "vocals.onnx")
    specialist = Specialist(folder / "vocals.onnx", "vocals", provider="cpu", threads=1)
    segments = np.concatenate([music_like(1), 0.01 * music_like(2), 0 * music_like(3)])
    together = session.run(["stem"], {"mix": segments})[0]
    for index, alone in enumerate(specialist(segments)):
        assert np.isfinite(alone).all()
        assert np.abs(together[index] - alone).max() <= 5e-6 * max(np.abs(alone).max(), 1e-3)
    model = SMALL.model("vocals")
    assert measure(model, 3, specialist, segments[:2]).meets(BARS["fp32"])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_session_from_the_cache_gives_the_same_bits(
    engine: str, small_folder: tuple[Path, Bag], tmp_path: Path
) -> None:
    path, segments = small_folder[0] / "vocals.onnx", music_like(1)
    made = Specialist(path, "vocals", provider=engine, threads=1)(segments)
    assert measure(SMALL.model("vocals"), 3, lambda _: made, segments).meets(BARS["fp32"])
    for _ in range(2):  # the first fills the cache, the second starts from it
        cached = Specialist(path, "vocals", provider=engine, threads=1, cache=tmp_path)
        assert np.array_equal(cached(segments), made)
        assert np.array_equal(cached(segments), made)  # and so does its second run


def test_halves_give_the_bits_of_float32(
    small_folder: tuple[Path, Bag], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.onnx_file.store_halves", lambda graph: None)
    path = tmp_path / "drums.onnx"
    path.write_bytes(to_onnx(SpecialistModule(SMALL.model("drums"), 0)))
    halves, segments = small_folder[0] / "drums.onnx", music_like(1)
    assert halves.stat().st_size < path.stat().st_size
    found = [Specialist(each, "drums", provider="cpu", threads=1)(segments) for each in (halves, path)]
    assert np.array_equal(*found)


def test_int8_meets_its_bar_in_a_smaller_file(small_folder: tuple[Path, Bag], tmp_path: Path) -> None:
    model, path = SMALL.model("drums"), tmp_path / "drums.onnx"
    path.write_bytes(to_onnx(SpecialistModule(model, 0, "int8")))
    for engine in ENGINES:
        specialist = Specialist(path, "drums", provider=engine, threads=1)
        parity = measure(model, 0, specialist, music_like(1))
        assert parity.meets(BARS["int8"]) and not parity.meets(BARS["fp32"]), engine
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("DynamicQuantizeMatMul") == 2 * 2 * 6  # layers, branches, products of a layer


def test_fp16_meets_its_bar_and_keeps_the_statistics(tmp_path: Path) -> None:
    model, path = SMALL.model("drums"), tmp_path / "drums.onnx"
    path.write_bytes(to_onnx(SpecialistModule(model, 0, "fp16")))
    specialist = Specialist(path, "drums", provider="cpu", threads=1)
    parity = measure(model, 0, specialist, music_like(1))
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
    again = to_onnx(SpecialistModule(SMALL.model("drums"), 0))
    assert again == (folder / "drums.onnx").read_bytes()


def test_export_leaves_the_model_alone() -> None:
    model = SMALL.model("drums")
    segments = music_like(1)
    before = torch_stem(model, 0, segments)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    SpecialistModule(model, 0)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert np.array_equal(before, torch_stem(model, 0, segments))


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
