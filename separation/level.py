"""A track's loudness: measured over the whole track, taken off the mix, put back on the stems.

As `Separator.separate_tensor` in demucs/api.py (4.1.0) does: `ref = mix.mean(0)`, then
`(mix - ref.mean()) / (ref.std() + 1e-8)`, and `stem * (ref.std() + 1e-8) + ref.mean()`.
"""

import math
from dataclasses import dataclass

import numpy as np

from separation.blocks import BLOCK, BlockBuffer
from separation.errors import WarningKind

EPSILON = 1e-8  # demucs's; keeps the division finite where the two channels cancel


@dataclass(frozen=True, slots=True)
class Level:
    """Mean and unbiased standard deviation of a track's mono mix, and the mix's largest |sample|.

    `peak` tells silence from a track whose channels cancel (left = -right): both have a mono mix of
    nothing, but only the first has stems of nothing.
    """

    mean: float
    std: float
    peak: float

    @property
    def scale(self) -> np.float32:
        """What the mix is divided by and the stems are multiplied with."""
        return np.float32(self.std + EPSILON)


class LevelMeter:
    """The level of a mix that arrives in blocks of (2, n), n of any size.

    Sums are taken in float64 over blocks of a fixed size and joined by Chan's formula, so the level has
    the same bits however the mix was split.
    """

    def __init__(self) -> None:
        self._blocks = BlockBuffer(BLOCK)
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0  # sum of (sample - mean)^2 of the mono mix
        self._peak = 0.0

    @property
    def samples(self) -> int:
        """Samples added so far: the track's length in the end."""
        return self._count + self._blocks.held

    def add(self, block: np.ndarray) -> None:
        for full in self._blocks.add(block):
            self._join(full)

    def level(self) -> Level:
        """The level of what was added; closes the meter."""
        for rest in self._blocks.rest():
            self._join(rest)
        std = math.sqrt(self._squares / (self._count - 1)) if self._count > 1 else 0.0
        return Level(self._mean, std, self._peak)

    def _join(self, block: np.ndarray) -> None:
        mono = block.mean(axis=0, dtype=np.float64)
        count = self._count + mono.size
        mean = float(mono.mean())
        delta = mean - self._mean
        self._squares += float(np.square(mono - mean).sum()) + delta**2 * self._count * mono.size / count
        self._mean += delta * mono.size / count
        self._count = count
        self._peak = max(self._peak, peak(block))


def measure(mix: np.ndarray) -> Level:
    """The level of a whole mix, (2, samples)."""
    meter = LevelMeter()
    meter.add(mix)
    return meter.level()


def peak(block: np.ndarray) -> float:
    """The largest |sample| of a block; 0 for an empty one."""
    return float(max(block.max(), -block.min())) if block.size else 0.0


def normalize(mix: np.ndarray, level: Level) -> np.ndarray:
    """The mix as the model wants it: (..., samples) float32 of mean 0 and deviation 1."""
    flat: np.ndarray = (mix - np.float32(level.mean)) / level.scale
    return flat


def restore(stem: np.ndarray, level: Level) -> np.ndarray:
    """A stem at the track's own loudness: the inverse of `normalize`, float32.

    The stems of a silent track are exactly silent, whatever the model made of it.
    """
    if level.peak == 0:
        return np.zeros_like(stem)
    restored: np.ndarray = stem * level.scale + np.float32(level.mean)
    return restored


LOUD = 4.0  # +12 dB over full scale: a float file in other units
FAINT = 1e-4  # -80 dB: three of sixteen bits


def warnings(level: Level) -> list[str]:
    """What is unusual about a track's loudness."""
    if level.peak == 0:
        return [WarningKind.LEVEL.warning("digital silence")]
    if level.std <= FAINT * level.peak:
        return [WarningKind.LEVEL.warning("the mono mix is nothing: the channels cancel, or hold a constant")]
    if not FAINT <= level.peak <= LOUD:
        return [WarningKind.LEVEL.warning(f"a peak of {level.peak:.3g} of full scale")]
    return []
