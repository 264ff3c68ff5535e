"""How far a specialist's output is from PyTorch's, on a segment that resembles music."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from demucs.htdemucs import HTDemucs

from separation.contract import CHANNELS, SAMPLE_RATE, SEGMENT


@dataclass(frozen=True, slots=True)
class Bar:
    """The least signal-to-noise ratio and the largest difference, in parts of the signal's peak."""

    snr_db: float
    max_over_peak: float


BARS = {  # PyTorch's own float32 is about 120 dB from float64
    "fp32": Bar(100, 5e-6),
    "fp16": Bar(60, 5e-3),
    "int8": Bar(35, 5e-2),  # 57 dB on hot random weights
}


@dataclass(frozen=True, slots=True)
class Parity:
    """The noise is estimate minus reference; NaN in the estimate gives NaN here, which meets no bar."""

    snr_db: float
    max_over_peak: float

    def meets(self, bar: Bar) -> bool:
        return self.snr_db >= bar.snr_db and self.max_over_peak <= bar.max_over_peak


def compare(reference: np.ndarray, estimate: np.ndarray) -> Parity:
    signal = reference.astype(np.float64)
    noise = estimate - signal
    power = float(np.sum(noise**2))
    ratio = float(np.sum(signal**2)) / power if power else np.inf
    return Parity(10 * float(np.log10(ratio)), float(np.abs(noise).max() / np.abs(signal).max()))


def music_like(seed: int) -> np.ndarray:
    """One segment (1, 2, SEGMENT): decaying notes with harmonics and noise bursts, panned differently."""
    rng = np.random.default_rng(seed)
    time = np.arange(SEGMENT) / SAMPLE_RATE
    mix = 0.003 * rng.standard_normal((CHANNELS, SEGMENT))
    for onset in np.arange(0, SEGMENT / SAMPLE_RATE, 0.25):
        since = np.clip(time - onset, 0, None)
        sounding = time >= onset
        pitch = 55 * 2 ** (rng.integers(0, 36) / 12)
        note = sum(np.sin(2 * np.pi * pitch * k * since) / k**1.5 for k in range(1, 9))
        note = note * np.exp(-3 * since) * sounding
        burst = rng.standard_normal(SEGMENT) * np.exp(-40 * since) * sounding
        mix += np.outer(rng.uniform(0.05, 0.2, CHANNELS), note) + np.outer(
            rng.uniform(0.02, 0.1, CHANNELS), burst
        )
    return mix[None].astype(np.float32)


def torch_stem(model: HTDemucs, row: int, segments: np.ndarray) -> np.ndarray:
    """What demucs itself computes: (n, 2, SEGMENT) -> (n, 2, SEGMENT)."""
    with torch.no_grad():
        return model(torch.from_numpy(segments))[:, row].numpy()


def measure(
    model: HTDemucs, row: int, specialist: Callable[[np.ndarray], np.ndarray], segments: np.ndarray
) -> Parity:
    return compare(torch_stem(model, row, segments), specialist(segments))
