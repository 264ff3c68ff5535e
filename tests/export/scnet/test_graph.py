"""An exported SCNet against the published one, in PyTorch's float64 and float32."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from export.msst.state import State
from export.operations import lstm
from export.parity import BARS, compare, compare_rows, torch_rows
from export.scnet import dual_path
from export.scnet.graph import SCNetModule, to_onnx
from tests.export.conftest import ENGINES
from tests.export.msst_networks import ENOUGH_DB, NEAR_DB
from tests.export.scnet.networks import BASE, LARGE, MASKED, SMALL, Network, in_float64

pytestmark = pytest.mark.usefixtures("one_thread")


def module_of(network: Network, rows: list[int] | None = None, precision: str = "fp32") -> SCNetModule:
    kept = [*range(network.sizes.rows)] if rows is None else rows
    state = State("checkpoint", network.model.state_dict())
    return SCNetModule(state, network.sizes, network.segment, kept, network.masked, precision)


def written(module: SCNetModule, path: Path) -> Path:
    path.write_bytes(to_onnx(module))
    return path


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(SMALL, id="small"),
        pytest.param(MASKED, id="masked"),
        pytest.param(BASE, id="base", marks=pytest.mark.long),
        pytest.param(LARGE, id="large", marks=pytest.mark.long),
    ],
)
def test_a_graph_is_as_near_to_float64_as_pytorch_is(
    network: Network, folders: dict[Network, Path], tmp_path: Path
) -> None:
    segments, rows = network.music(), range(network.sizes.rows)
    path = (
        folders[network] / "models/model.onnx"
        if network in folders
        else written(module_of(network), tmp_path / "graph.onnx")
    )
    model = network.model
    single = torch_rows(model, rows, segments)
    exact = in_float64(model, segments, rows)
    own = compare_rows(exact, single)
    for engine in ENGINES:
        found = network.opened(path, engine)(segments)
        for row, parity in enumerate(compare_rows(exact, found)):
            assert parity.snr_db >= min(ENOUGH_DB, own[row].snr_db - NEAR_DB), (engine, row, parity, own[row])
        for parity in compare_rows(single, found):
            assert parity.meets(BARS["fp32"]), (engine, parity)


@pytest.mark.parametrize("network", [SMALL, MASKED], ids=["plain", "masked"])
def test_a_batch_is_its_segments(network: Network, folders: dict[Network, Path]) -> None:
    segments = np.concatenate([network.music(), 0.1 * network.music(2)])
    session = onnxruntime.InferenceSession(folders[network] / "models/model.onnx")
    (found,) = session.run(["stems"], {"mix": segments})
    for expected, rows in zip(
        torch_rows(network.model, range(network.sizes.rows), segments), found, strict=True
    ):
        assert compare(expected, rows).snr_db > ENOUGH_DB


@pytest.mark.parametrize("network", [SMALL, MASKED], ids=["plain", "masked"])
def test_a_row_alone_is_that_of_all_rows(network: Network) -> None:
    """Without its axis."""
    segments = network.music()
    with torch.no_grad():
        found = module_of(network, [1]).eval()(torch.from_numpy(segments)).numpy()
    assert found.shape == segments.shape
    assert compare(torch_rows(network.model, [1], segments)[:, 0], found).snr_db > ENOUGH_DB


@pytest.mark.parametrize("segment", [8 * 256, 9 * 256, 9 * 256 + 1, 3_001])
def test_any_segment_has_the_frames_of_the_published_network(segment: int) -> None:
    """Zeros are appended to whole hops and an even number of frames, a whole hop where none is missing."""
    network = Network(SMALL.sizes, segment)
    segments, found = network.music(), module_of(network).eval()
    with torch.no_grad():
        rows = found(torch.from_numpy(segments)).numpy()
    assert compare(torch_rows(network.model, range(4), segments), rows).snr_db > ENOUGH_DB


@pytest.mark.parametrize(
    "sizes",
    [
        {"sources": ("speech",), "nfft": 4096, "hop_size": 1024, "win_size": 4096, "normalized": False},
        {"dims": (4, 6), "expand": 2, "conv_kernel": 5, "compress": 2, "conv_depths": (1, 1, 2)},
        {"band_SR": (0.3, 0.3, 0.4), "band_stride": (1, 2, 3), "band_kernel": (5, 2, 3), "hop_size": 441},
    ],
    ids=["transform", "depth", "bands"],
)
def test_other_sizes(sizes: dict[str, object]) -> None:
    network = Network(replace(SMALL.sizes, **sizes), 9_000)
    segments = network.music()
    with torch.no_grad():
        found = module_of(network).eval()(torch.from_numpy(segments)).numpy()
    expected = torch_rows(network.model, range(network.sizes.rows), segments)
    assert compare(expected, found.reshape(expected.shape)).snr_db > ENOUGH_DB


def test_parity_sees_swapped_gates_and_a_wrong_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    """The LSTMs and the transform over time must reach the output, or all other figures are worthless."""
    segments = SMALL.music()
    expected = torch_rows(SMALL.model, range(4), segments)

    def snr_db() -> float:
        with torch.no_grad():
            return compare(expected, module_of(SMALL).eval()(torch.from_numpy(segments)).numpy()).snr_db

    assert snr_db() > ENOUGH_DB
    with monkeypatch.context() as patch:
        patch.setattr(dual_path, "GATES", (0, 1, 2, 3))
        assert snr_db() < 60
    with monkeypatch.context() as patch:
        patch.setattr(dual_path, "lstm", lambda *given: lstm(*given) * 1.001)
        assert snr_db() < 90


def test_fp16_keeps_norms_spectrograms_and_lstms_in_float32(tmp_path: Path) -> None:
    path = written(module_of(SMALL, precision="fp16"), tmp_path / "graph.onnx")
    segments = SMALL.music()
    expected = torch_rows(SMALL.model, range(4), segments)
    for gain in (1, 40):  # 30 dB louder: nothing overflows
        rows = SMALL.opened(path)(np.float32(gain) * segments)
        assert np.isfinite(rows).all()
        if gain == 1:
            assert all(each.meets(BARS["fp16"]) for each in compare_rows(expected, rows))
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    found = {
        kind: {kinds.get(node.output[0]) for node in graph.node if node.op_type == kind}
        for kind in ("Conv", "ConvTranspose", "ReduceMean", "LSTM")
    }
    found["spectrograms"] = {
        kinds.get(node.output[0])
        for node in graph.node
        if node.op_type == "MatMul" and node.name.startswith(("/spectrogram/", "/waveform/"))
    }
    assert found.pop("Conv") == found.pop("ConvTranspose") == {TensorProto.FLOAT16}
    assert all(each == {TensorProto.FLOAT} for each in found.values()), found


def test_the_graph_is_plain(small_folder: Path) -> None:
    """Nothing complex, no questions about shapes, no operations of one engine; the same bytes each time."""
    content = (small_folder / "models/model.onnx").read_bytes()
    assert to_onnx(module_of(SMALL)) == content
    graph = onnx.load_model_from_string(content).graph
    kinds = {node.op_type for node in graph.node}
    assert not kinds & {"Shape", "If", "Loop", "STFT", "DFT"}, kinds
    assert {node.domain for node in graph.node} == {""}
    assert sum(node.op_type == "LSTM" for node in graph.node) == 2 * SMALL.sizes.num_dplayer
