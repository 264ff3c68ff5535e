"""An exported RoFormer against the published one, in PyTorch's float64 and float32."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

from export.msst.state import State
from export.parity import compare, compare_rows, torch_rows
from export.roformer import layers
from export.roformer.bands import BinMean, mel_bands
from export.roformer.graph import RoformerModule, to_onnx
from separation.errors import ModelError
from tests.export.conftest import ENGINES
from tests.export.msst_networks import ENOUGH_DB, NEAR_DB
from tests.export.roformer.networks import BS, BS_4_STEMS, KIM, MEL, Network, in_float64

pytestmark = pytest.mark.usefixtures("one_thread")


def module_of(network: Network, rows: list[int] | None = None, precision: str = "fp32") -> RoformerModule:
    kept = [*range(network.sizes.num_stems)] if rows is None else rows
    state = State("checkpoint", network.model.state_dict())
    return RoformerModule(state, network.sizes, network.segment, kept, precision)


def computed(module: RoformerModule, segments: np.ndarray) -> np.ndarray:
    """(n, rows, 2, segment)"""
    with torch.no_grad():
        found: np.ndarray = module.eval()(torch.from_numpy(segments)).numpy()
    return found.reshape(len(segments), module.rows, 2, -1)


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(MEL, id="mel"),
        pytest.param(BS, id="bs"),
        pytest.param(KIM, id="kim", marks=pytest.mark.long),
        pytest.param(BS_4_STEMS, id="bs-4-stems", marks=pytest.mark.long),
    ],
)
def test_a_graph_is_as_near_to_float64_as_pytorch_is(
    network: Network, folders: dict[Network, Path], tmp_path: Path
) -> None:
    """Over three segments where they are short: one alone depends on luck, by some 3 dB."""
    tiny, rows = network in folders, range(network.sizes.num_stems)
    segments = [network.music(seed) for seed in range(3 if tiny else 1)]
    path = tmp_path / "graph.onnx"
    if tiny:
        (path,) = (folders[network] / "models").glob("*.onnx")
    else:
        path.write_bytes(to_onnx(module_of(network)))
    exact = in_float64(network, np.concatenate(segments), rows)
    own = compare_rows(exact, torch_rows(network.model, rows, np.concatenate(segments)))
    for engine in ENGINES:
        graph = network.opened(path, engine)
        found = np.concatenate([graph(segment).reshape(exact[:1].shape) for segment in segments])
        for row, parity in enumerate(compare_rows(exact, found)):
            assert parity.snr_db >= min(ENOUGH_DB, own[row].snr_db - NEAR_DB), (engine, row, parity, own[row])


@pytest.mark.parametrize("network", [MEL, BS], ids=["mel", "bs"])
def test_a_batch_is_its_segments(network: Network, folders: dict[Network, Path]) -> None:
    segments = np.concatenate([network.music(), 0.1 * network.music(2)])
    (path,) = (folders[network] / "models").glob("*.onnx")
    (found,) = onnxruntime.InferenceSession(path).run(None, {"mix": segments})
    for segment, rows in zip(segments, found.reshape(2, -1, 2, network.segment), strict=True):
        expected = in_float64(network, segment[None], range(network.sizes.num_stems))[0]
        assert compare(expected, rows).snr_db > 95


SIZES = [
    pytest.param(MEL, {"num_stems": 2, "zero_dc": False, "skip_connection": True, "depth": 3}, id="skip"),
    pytest.param(MEL, {"time_transformer_depth": 2, "mask_estimator_depth": 0, "num_bands": 20}, id="depths"),
    pytest.param(MEL, {"match_input_audio_length": True, "stft_hop_length": 128, "stft_normalized": True},
                 id="hop"),
    pytest.param(BS, {"mask_estimator_depth": 3, "mlp_expansion_factor": 2, "zero_dc": True, "heads": 2},
                 id="masks"),
    pytest.param(BS, {"freqs_per_bands": (1,) * 20 + (237,), "dim": 40, "freq_transformer_depth": 1},
                 id="bands"),
]  # fmt: skip


@pytest.mark.parametrize(("network", "sizes"), SIZES)
def test_other_sizes(network: Network, sizes: dict[str, object]) -> None:
    other = replace(network, sizes=replace(network.sizes, **sizes))
    segments = np.concatenate([other.music(seed) for seed in range(3)])
    exact = in_float64(other, segments, range(other.sizes.num_stems))
    own = compare(exact, torch_rows(other.model, range(other.sizes.num_stems), segments))
    found = compare(exact, computed(module_of(other), segments))
    assert found.snr_db > min(ENOUGH_DB, own.snr_db - NEAR_DB), (found, own)


def test_a_row_alone_is_that_of_all_rows() -> None:
    segments = BS.music()
    alone = computed(module_of(BS, [1]), segments)
    assert np.array_equal(alone[:, 0], computed(module_of(BS), segments)[:, 1])


def test_masks_are_those_of_the_published_network_given_equal_spectra() -> None:
    """Without what the transform's last bits become: the spectrogram is PyTorch's own on both sides."""
    segments = torch.from_numpy(MEL.music())
    sizes, module = MEL.sizes, module_of(MEL).eval()
    window = torch.hann_window(sizes.stft_n_fft)
    bins = torch.stft(
        segments[0], sizes.stft_n_fft, sizes.stft_hop_length, window=window, return_complex=True
    )
    spectrogram = torch.view_as_real(bins).permute(0, 3, 1, 2).reshape(1, 4, module.bins, module.frames)

    class Given(torch.nn.Module):
        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            return spectrogram

    module.spectrogram = Given()  # type: ignore[assignment]
    expected = torch_rows(MEL.model, [0], segments.numpy())
    assert compare(expected, computed(module, segments.numpy())).snr_db > 115


def test_parity_sees_attention_positions_and_overlaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each must reach the output, or all other figures are worthless."""
    segments = MEL.music()
    expected = torch_rows(MEL.model, [0], segments)

    def snr_db() -> float:
        return compare(expected, computed(module_of(MEL), segments)).snr_db

    assert snr_db() > 95
    real_attention, tables = layers.attention, layers.rotary_tables
    with monkeypatch.context() as patch:
        patch.setattr(layers, "attention", lambda *given: real_attention(*given) * 1.001)
        assert snr_db() < 70
    with monkeypatch.context() as patch:
        patch.setattr("export.roformer.graph.rotary_tables", lambda freqs, n: tables(freqs * 1.01, n))
        assert snr_db() < 70
    with monkeypatch.context() as patch:
        patch.setattr(BinMean, "forward", lambda self, masks: masks[:, :, : len(self.count)])
        assert snr_db() < 20


def test_mel_bands_overlap_and_cover_all_bins() -> None:
    """Of MSST's 60 bands for 2,048 samples: 1 to 3 bands a bin, ends included."""
    bands = mel_bands(60, 2048, 44_100)
    counts = np.bincount([bin_ for band in bands for bin_ in band])
    assert len(counts) == 1025 and counts.min() == 1
    assert all(band == tuple(range(band[0], band[-1] + 1)) for band in bands)
    means = BinMean(bands, 3)(torch.ones(2, 4, sum(map(len, bands)), 3))
    assert torch.equal(means, torch.ones(2, 4, 1025, 3))


def test_silence_stays_silent_and_loud_music_finite(folders: dict[Network, Path]) -> None:
    for network, folder in folders.items():
        (path,) = (folder / "models").glob("*.onnx")
        graph = network.opened(path)
        assert not graph(np.zeros((1, 2, network.segment), np.float32)).any()
        assert np.isfinite(graph(1_000 * network.music())).all()


def test_fp16_keeps_norms_spectrograms_and_the_residual_in_float32(tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    path.write_bytes(to_onnx(module_of(BS, precision="fp16")))
    segments = BS.music()
    expected = torch_rows(BS.model, range(2), segments)
    for gain in (1, 40):  # 30 dB louder: nothing overflows
        rows = BS.opened(path)(np.float32(gain) * segments)
        assert np.isfinite(rows).all()
        for parity in compare_rows(gain * expected, rows):
            assert parity.snr_db > 35, parity
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), data_prop=True).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}

    def found(*operators: str, scope: str = "/") -> set[int | None]:
        return {
            kinds.get(node.output[0])
            for node in graph.node
            if node.op_type in operators and node.name.startswith(scope)
        }

    assert found("Pow", "ReduceMean", "Sqrt") == {TensorProto.FLOAT}
    for kept in ("/spectrogram/", "/waveform/", "/band_split/"):
        assert found("MatMul", scope=kept) == {TensorProto.FLOAT}
    for halved in ("/over_time", "/over_bands", "/masks"):
        unknown = {None}  # behind attention, whose types onnx does not know
        assert found("MatMul", scope=halved) - unknown == {TensorProto.FLOAT16}
    residual = [
        node.output[0]
        for node in graph.node
        if node.op_type == "Add" and node.name.count("/") == 2 and node.name.startswith("/over_")
    ]
    assert len(residual) == 16 and {kinds.get(name) for name in residual} == {TensorProto.FLOAT}


def test_the_graph_is_plain(folders: dict[Network, Path]) -> None:
    """Nothing complex and no questions about shapes; attention is onnxruntime's; the same bytes each time."""
    assert to_onnx(module_of(BS)) == (folders[BS] / "models/model.onnx").read_bytes()
    for folder in folders.values():
        (path,) = (folder / "models").glob("*.onnx")
        nodes = onnx.load(path).graph.node
        kinds = {node.op_type for node in nodes}
        assert not kinds & {"Shape", "If", "Loop", "STFT", "DFT", "ScatterElements", "ScatterND"}, kinds
        assert {node.op_type for node in nodes if node.domain} == {"MultiHeadAttention"}


def test_a_graph_that_no_file_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from export.roformer import network

    monkeypatch.setattr(network, "MOST_GRAPH_BYTES", 1_000_000)
    state = State("checkpoint", BS.model.state_dict())
    with pytest.raises(ModelError, match=r"model\.yaml: its weights are 0\.0 GB for 2 rows.*--stems"):
        network.Roformer("model.yaml", BS.sizes).to_onnx(state, BS.segment, [0, 1], "fp32")
