"""A track's level: measured over the whole track, normalized away before the models, restored on the stems.

Rule `track` is that of `Separator.separate_tensor`, demucs/api.py (4.1.0): `ref = mix.mean(0)`, then
`(mix - ref.mean()) / (ref.std() + 1e-8)`, and `stem * (ref.std() + 1e-8) + ref.mean()`, with torch's unbiased
`std`. Rule `msst` is that of `normalize_audio` and `denormalize_audio`, msst/utils/audio_utils.py (0.1.0):
the same with numpy's `std` of the population, or 1 where that is at most float32's epsilon, as for silence.
"""

import math
from dataclasses import dataclass

import numpy as np

from separation.blocks import BLOCK, BlockBuffer
from separation.contract import LevelRule
from separation.errors import WarningKind

EPSILON = 1e-8  # as in demucs; keeps the division finite where the two channels cancel
LEAST_MSST_STD = float(np.finfo(np.float32).eps)  # up to this, MSST divides by 1


@dataclass(frozen=True, slots=True)
class Level:
    """Mean and unbiased standard deviation of a track's mono mix, and the largest |sample| of its mix.

    `length` is the track's, in samples.

    `peak` distinguishes silence from a track whose channels cancel (left = -right): the mono mix of both is
    zero, but only silence has silent stems.
    """

    length: int
    mean: float
    std: float
    peak: float

    @property
    def is_silent(self) -> bool:
        """Whether the track is digital silence: then so are its stems, whatever the models give."""
        return self.peak == 0

    def scale(self, rule: LevelRule) -> np.float32:
        """The mix is divided by this, the stems are multiplied by it, under any rule but `none`."""
        if rule == "track":
            return np.float32(self.std + EPSILON)
        std = self.std * math.sqrt(max(0, self.length - 1) / max(1, self.length))  # of the population
        return np.float32(std if std > LEAST_MSST_STD else 1)


class LevelMeter:
    """Measures the level of a mix that arrives in blocks (2, n), n of any size.

    Sums are float64 over blocks of a fixed size, combined by Chan's formula, so the level has the same bits
    however the mix is divided into blocks.
    """

    def __init__(self) -> None:
        self._blocks = BlockBuffer(BLOCK)
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0  # sum of (sample - mean)^2 of the mono mix
        self._peak = 0.0

    @property
    def samples(self) -> int:
        """Samples per channel added so far."""
        return self._count + self._blocks.waiting

    def add(self, block: np.ndarray) -> None:
        for full in self._blocks.add(block):
            self._combine(full)

    def level(self) -> Level:
        """The level of all that was added; add nothing after it."""
        for last in self._blocks.flush():
            self._combine(last)
        std = math.sqrt(self._squares / (self._count - 1)) if self._count > 1 else 0.0
        return Level(self._count, self._mean, std, self._peak)

    def _combine(self, block: np.ndarray) -> None:
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


def normalize(mix: np.ndarray, level: Level, rule: LevelRule = "track") -> np.ndarray:
    """The mix as a graph expects it, float32 (..., samples), by its contract's `rule`.

    `track` and `msst`: the mono mix has mean 0 and deviation 1. `none`: the mix as it is.
    """
    if rule == "none":
        return mix
    normalized: np.ndarray = (mix - np.float32(level.mean)) / level.scale(rule)
    return normalized


def restore(stem: np.ndarray, level: Level, rule: LevelRule = "track") -> np.ndarray:
    """The inverse of `normalize` for a stem: float32, at the track's level.

    The stems of a silent track are exactly silent, whatever the model gave.
    """
    if level.is_silent:
        return np.zeros_like(stem)
    if rule == "none":
        return stem
    restored: np.ndarray = stem * level.scale(rule) + np.float32(level.mean)
    return restored


LOUD = 4.0  # 12 dB above full scale: probably a float file in other units
FAINT = 1e-4  # -80 dB: three of sixteen bits


def warnings(level: Level) -> list[str]:
    """What is unusual about a track's level; at most one warning."""
    if level.is_silent:
        return [WarningKind.LEVEL.warning("digital silence")]
    if level.std <= FAINT * level.peak:
        return [WarningKind.LEVEL.warning("the mono mix is nothing: the channels cancel, or hold a constant")]
    if not FAINT <= level.peak <= LOUD:
        return [WarningKind.LEVEL.warning(f"a peak of {level.peak:.3g} of full scale")]
    return []
