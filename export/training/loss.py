"""SDR as a loss: the error of every second, in decibels.

SDR is the median over seconds of 10 log10(|target|^2 / |error|^2). The target is constant, so the loss is
10 log10 |error|^2; a quiet second counts as much as a loud one. Errors far below the mix stop counting
(`FLOOR`), or the loss would fall without end in seconds in which a stem is silent.
"""

from torch import Tensor

from separation.contract import HTDEMUCS

FLOOR = 0.003  # of the mix's energy: -25 dB
SILENCE = 1e-6  # mean square: -60 dB of full scale


def error_db(estimate: Tensor, target: Tensor, mix: Tensor) -> Tensor:
    """Error of each stem and second, relative to the mix's level there: (batch, stems, seconds) in dB.

    `estimate` and `target` are (batch, stems, 2, samples), `mix` is (batch, 2, samples). The seconds are of
    one length, at least a second long; samples that remain at the end are left out.
    """
    error = _by_second((estimate - target) ** 2)
    level = _by_second(mix**2)[:, None] + SILENCE
    return 10 * ((error + FLOOR * level) / level).log10()


def _by_second(energy: Tensor) -> Tensor:
    """(..., 2, samples) -> its mean in every second: (..., seconds)."""
    seconds = max(1, energy.shape[-1] // HTDEMUCS.sample_rate)
    length = energy.shape[-1] // seconds
    whole = energy[..., : seconds * length]
    return whole.reshape(*energy.shape[:-1], seconds, length).mean((-3, -1))
