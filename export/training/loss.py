"""The measure as a loss: the error of every second, in decibels.

SDR is the median over seconds of 10 log10(|target|^2 / |error|^2). Its target's part is constant, so what is
left to lower is 10 log10 |error|^2, so that a quiet second counts as much as a loud one. Errors far below
the mix stop counting (`FLOOR`): seconds in which a stem is silent would otherwise be lowered without end.
"""

from torch import Tensor

from separation.contract import SAMPLE_RATE

FLOOR = 0.003  # of the mix's energy: -25 dB
SILENCE = 1e-6  # mean square: -60 dB of full scale


def error_db(estimate: Tensor, target: Tensor, mix: Tensor) -> Tensor:
    """Error of each stem and second over the mix's level there: two (batch, stems, 2, samples) and the mix
    (batch, 2, samples) -> (batch, stems, seconds) in dB. The last second takes what is left over."""
    error = _by_second((estimate - target) ** 2)
    level = _by_second(mix**2)[:, None] + SILENCE
    return 10 * ((error + FLOOR * level) / level).log10()


def _by_second(energy: Tensor) -> Tensor:
    """(..., 2, samples) -> mean of every second (..., seconds)."""
    seconds = max(1, energy.shape[-1] // SAMPLE_RATE)
    length = energy.shape[-1] // seconds
    whole = energy[..., : seconds * length]
    return whole.reshape(*energy.shape[:-1], seconds, length).mean((-3, -1))
