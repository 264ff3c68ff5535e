"""`Stft` and `InverseStft` beside `torch.stft` and `torch.istft`."""

import onnxruntime
import pytest
import torch

from export.onnx_file import to_bytes, to_graph
from export.parity import music_like
from export.stft import Framing, InverseStft, Stft
from separation.contract import msst_contract

# fft, hop: multiples of n2's values and not, divisors and not
HOPS = [(2048, 441), (2048, 512), (2048, 768), (1024, 100), (256, 4), (64, 27)]


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("normalized", [False, True], ids=["plain", "normalized"])
@pytest.mark.parametrize("rest", [0, 1, -1], ids=["whole", "more", "less"])
@pytest.mark.parametrize(("fft", "hop"), HOPS)
def test_any_hop_is_torchs(fft: int, hop: int, rest: int, normalized: bool) -> None:
    """Signals of whole hops, of a sample more and of one less; any spectrogram back, with and without DC."""
    framing, samples = Framing(fft, hop, normalized, hann=True), fft + 3 * hop + rest
    window, frames = torch.hann_window(fft), framing.frames(samples)
    signal = noise(2, 3, samples)
    expected = torch.stft(
        signal.flatten(0, 1), fft, hop, window=window, normalized=normalized, return_complex=True
    )
    found = Stft(framing, samples, 3)(signal)
    assert found.shape == (2, 6, fft // 2 + 1, frames)
    both = torch.view_as_real(expected).permute(0, 3, 1, 2).reshape(found.shape)
    assert (found - both).abs().max() < 2e-6 * both.abs().max()
    found = Stft(framing, samples, 3, short_sums=True)(signal)
    assert (found - both).abs().max() < 1e-6 * both.abs().max()

    spectrogram = noise(6, fft // 2 + 1, frames, 2)
    for dc in (True, False):
        inverse = InverseStft(framing, frames, samples, dc)(spectrogram.permute(0, 3, 1, 2))
        bins = torch.view_as_complex(spectrogram).clone()
        bins[:, 0] *= dc
        wave = torch.istft(bins, fft, hop, window=window, normalized=normalized, length=samples)
        assert inverse.shape == wave.shape
        assert (inverse - wave).abs().max() < 5e-6 * wave.abs().max(), dc


def test_short_sums_are_as_exact_as_a_fast_transform() -> None:
    """Of notes, whose sums grow."""
    contract = msst_contract(44_100, 4, normalize=False)
    framing = Framing(2048, 441, normalized=False, hann=True)

    def error(kind: str) -> float:
        squares = 0.0
        for seed in range(3):
            signal = torch.from_numpy(music_like(seed, contract))

            def torchs(signal: torch.Tensor) -> torch.Tensor:
                window = torch.hann_window(2048, dtype=signal.dtype)
                found = torch.stft(signal[0], 2048, 441, window=window, return_complex=True)
                return torch.view_as_real(found).permute(0, 3, 1, 2).reshape(1, 4, 1025, -1)

            ours = Stft(framing, contract.segment, 2, short_sums=kind == "short")
            found = torchs(signal) if kind == "fast" else ours(signal)
            squares += float((found - torchs(signal.double())).square().sum())
        return squares**0.5

    fast, short, long = error("fast"), error("short"), error("long")
    assert short < 1.1 * fast and short < long / 1.5, (short, fast, long)


def test_a_graph_of_any_hop_asks_for_no_shape() -> None:
    """And takes any batch."""
    framing, samples = Framing(256, 45, normalized=False, hann=True), 1_001

    class There(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spectrogram = Stft(framing, samples, 2, short_sums=True)
            self.waveform = InverseStft(framing, framing.frames(samples), samples)

        def forward(self, mix: torch.Tensor) -> torch.Tensor:
            spectrogram = self.spectrogram(mix)
            both: torch.Tensor = self.waveform(spectrogram)
            return both.reshape(-1, 2, samples)

    model = to_graph(There(), (2, samples), 1, microsoft=False)
    assert not {node.op_type for node in model.graph.node} & {"Shape", "If", "Loop", "STFT", "DFT"}
    mix = noise(3, 2, samples).numpy()
    (found,) = onnxruntime.InferenceSession(to_bytes(model)).run(None, {"mix": mix})
    assert abs(found - mix).max() < 1e-5
