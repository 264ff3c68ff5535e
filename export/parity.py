"""How far a graph's output is from PyTorch's, on a segment that resembles music."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from separation.contract import HTDEMUCS, Contract

TorchModel = Callable[[Tensor], Tensor]  # (n, channels, segment) -> (n, rows, channels, segment)


@dataclass(frozen=True, slots=True)
class Bar:
    """What a precision must reach: the least signal-to-noise ratio in dB, and the largest difference as a
    fraction of the signal's peak."""

    snr_db: float
    max_over_peak: float


BARS = {  # by precision; of networks whose float32 is about 120 dB from float64 in PyTorch itself
    "fp32": Bar(100, 5e-6),
    "fp16": Bar(60, 5e-3),
    "int8": Bar(35, 5e-2),  # 57 dB on hot random weights
}


@dataclass(frozen=True, slots=True)
class Parity:
    """How near an estimate is to its reference, whose difference is the noise.

    The signal-to-noise ratio in dB (inf if they are equal) and the largest difference as a fraction of the
    reference's peak. NaN in the estimate gives NaN here, which meets no bar.
    """

    snr_db: float
    max_over_peak: float

    def meets(self, bar: Bar) -> bool:
        """Whether both figures are within the bar."""
        return self.snr_db >= bar.snr_db and self.max_over_peak <= bar.max_over_peak


def compare(reference: np.ndarray, estimate: np.ndarray) -> Parity:
    """Both of one shape, any; all their samples count together, in float64."""
    signal = reference.astype(np.float64)
    noise = estimate - signal
    power = float(np.sum(noise**2))
    ratio = float(np.sum(signal**2)) / power if power else np.inf
    return Parity(10 * float(np.log10(ratio)), float(np.abs(noise).max() / np.abs(signal).max()))


def compare_rows(reference: np.ndarray, estimate: np.ndarray) -> list[Parity]:
    """One for each row of (n, rows, channels, segment)."""
    return [compare(reference[:, row], estimate[:, row]) for row in range(reference.shape[1])]


def music_like(seed: int, contract: Contract = HTDEMUCS) -> np.ndarray:
    """One float32 segment (1, channels, segment) of the contract, drawn from `seed`.

    Every 0.25 s a decaying note with eight harmonics and a noise burst, panned differently.
    """
    rng = np.random.default_rng(seed)
    channels, segment, rate = contract.channels, contract.segment, contract.sample_rate
    time = np.arange(segment) / rate
    mix = 0.003 * rng.standard_normal((channels, segment))
    for onset in np.arange(0, segment / rate, 0.25):
        since = np.clip(time - onset, 0, None)
        sounding = time >= onset
        pitch = 55 * 2 ** (rng.integers(0, 36) / 12)
        note = sum(np.sin(2 * np.pi * pitch * k * since) / k**1.5 for k in range(1, 9))
        note = note * np.exp(-3 * since) * sounding
        burst = rng.standard_normal(segment) * np.exp(-40 * since) * sounding
        mix += np.outer(rng.uniform(0.05, 0.2, channels), note) + np.outer(
            rng.uniform(0.02, 0.1, channels), burst
        )
    return mix[None].astype(np.float32)


def torch_rows(model: TorchModel, rows: Sequence[int], segments: np.ndarray) -> np.ndarray:
    """These rows of what PyTorch computes: (n, channels, segment) -> (n, rows, channels, segment)."""
    with torch.no_grad():
        found: np.ndarray = model(torch.from_numpy(segments))[:, list(rows)].numpy()
    return found
