import pytest
import torch
from demucs.htdemucs import HTDemucs

from export.fourier import BINS, Spectrogram, Waveform, frames_of
from separation.contract import HTDEMUCS
from tests.checkpoints import SMALL

SEGMENTS = [HTDEMUCS.segment, 441_000, 22_051]


@pytest.fixture(scope="module")
def model() -> HTDemucs:
    return SMALL.model("drums")


@pytest.mark.parametrize("segment", SEGMENTS)
def test_spectrogram_is_demucs_own(model: HTDemucs, segment: int) -> None:
    mix = torch.randn(2, 2, segment, generator=torch.Generator().manual_seed(0))
    expected = model._magnitude(model._spec(mix))
    found = Spectrogram(segment)(mix)
    assert found.shape == expected.shape == (2, 4, BINS, frames_of(segment))
    assert (found - expected).abs().max() < 2e-6 * expected.abs().max()


@pytest.mark.parametrize("segment", SEGMENTS)
def test_waveform_is_demucs_own_for_any_spectrogram(model: HTDemucs, segment: int) -> None:
    """Not only for spectrograms of real signals: the network's output is none. DC and the edges included.

    Three rows of two items.
    """
    shape = (2, 3, 4, BINS, frames_of(segment))
    spectrogram = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = model._ispec(model._mask(None, spectrogram), segment)
    found = Waveform(segment)(spectrogram.flatten(1, 2)).unflatten(0, (2, 3))
    assert found.shape == expected.shape == (2, 3, 2, segment)
    assert (found - expected).abs().max() < 2e-6 * expected.abs().max()
