import pytest
import torch
from demucs.htdemucs import HTDemucs

from export.fourier import BINS, FRAMES, Spectrogram, Waveform
from separation.contract import SEGMENT
from tests.export.conftest import SMALL


@pytest.fixture(scope="module")
def model() -> HTDemucs:
    return SMALL.model("drums")


def test_spectrogram_is_demucs_own(model: HTDemucs) -> None:
    mix = torch.randn(2, 2, SEGMENT, generator=torch.Generator().manual_seed(0))
    expected = model._magnitude(model._spec(mix))
    found = Spectrogram()(mix)
    assert found.shape == expected.shape == (2, 4, BINS, FRAMES)
    assert (found - expected).abs().max() < 2e-6 * expected.abs().max()


def test_waveform_is_demucs_own_for_any_spectrogram(model: HTDemucs) -> None:
    """Not only for spectrograms of real signals: the network's output is none. DC and the edges included."""
    spectrogram = torch.randn(2, 4, BINS, FRAMES, generator=torch.Generator().manual_seed(0))
    expected = model._ispec(model._mask(None, spectrogram[:, None]), SEGMENT)[:, 0]
    found = Waveform()(spectrogram)
    assert found.shape == expected.shape == (2, 2, SEGMENT)
    assert (found - expected).abs().max() < 2e-6 * expected.abs().max()
