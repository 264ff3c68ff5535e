"""Weighted overlap-add of a stem's segments back into the track, one section after the other.

    section 0   ▁▃▅▇▇▇▇▇▇▇▅▃▁            weighted sums, not yet divided
    section 1            ▁▃▅▇▇▇▇▇▅▃▁
    stitched    ━━━━━━━━━┿━━━━┿━━━━━━    divided by the weights once no later section can add to a sample

Source: the loop after `weight = th.cat(...)` in `apply_model`, demucs/apply.py (4.1.0).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import pairwise

import numpy as np

from separation.blocks import reblock
from separation.contract import CHANNELS, LevelRule
from separation.grid import Chunk, Section, uncut
from separation.level import Level, restore


@cache
def window(segment: int) -> np.ndarray:
    """The triangular weights of a segment: float32 (segment,), maximum 1."""
    rise = np.arange(1, segment // 2 + 1)
    fall = np.arange(segment - segment // 2, 0, -1)
    triangle = np.concatenate([rise, fall]).astype(np.float32)
    window: np.ndarray = triangle / triangle.max()
    return window


class WeightedSum:
    """The weighted sum of a section's segments, in the order in which they are added.

    A short chunk is weighted with the start of the window, not its middle, as in demucs.
    """

    def __init__(self, section: Section, channels: int = CHANNELS):
        self._section = section
        self.sum = np.zeros((channels, section.stop - section.start), np.float32)

    def add(self, chunk: Chunk, segment: np.ndarray) -> None:
        """`segment` is the chunk's: float32 (channels, segment)."""
        weights = window(chunk.segment)[: chunk.length]
        self.sum[:, _within(self._section, chunk)] += weights * uncut(segment, chunk)


def overlap_add(section: Section, segments: Iterable[np.ndarray]) -> np.ndarray:
    """The weighted sum of the section's segments: float32 (channels, section.stop - section.start).

    `segments` are (channels, segment), one per chunk.
    """
    total = WeightedSum(section)
    for chunk, segment in zip(section.chunks, segments, strict=True):
        total.add(chunk, segment)
    return total.sum


def silence(section: Section) -> np.ndarray:
    """The weighted sum of a section whose segments are all zero: float32 (CHANNELS, section's samples)."""
    return np.zeros((CHANNELS, section.stop - section.start), np.float32)


def _weight(section: Section) -> np.ndarray:
    """The sum of the windows of the section's chunks: float32 (section.stop - section.start,)."""
    weight = np.zeros(section.stop - section.start, np.float32)
    for chunk in section.chunks:
        weight[_within(section, chunk)] += window(chunk.segment)[: chunk.length]
    return weight


def _within(section: Section, chunk: Chunk) -> slice:
    """The chunk's samples, counted from the section's start."""
    return slice(chunk.start - section.start, chunk.stop - section.start)


def join_sections(sections: Sequence[Section], load: Callable[[int], np.ndarray]) -> Iterator[np.ndarray]:
    """The stem of one grid from its sections, in order: consecutive blocks float32 (channels, n).

    `load(section.index)` gives a section's `overlap_add`; only one is in memory at a time. Up to an overlap
    of 0.5 at most two chunks overlap in a sample, so the sum has the same bits however the grid is divided
    into sections; above 0.5 the order of the additions differs, and so may the last bit.
    """
    carried: np.ndarray = np.zeros((1, 0), np.float32)
    carried_weight: np.ndarray = np.zeros(0, np.float32)
    for section, following in pairwise([*sections, None]):
        assert section is not None
        total, weight = load(section.index).copy(), _weight(section)
        total[:, : carried.shape[1]] += carried
        weight[: carried_weight.shape[0]] += carried_weight
        settled = (section.stop if following is None else following.start) - section.start
        before_track = max(0, -section.start)  # samples of a shifted grid that precede the track
        yield total[:, before_track:settled] / weight[before_track:settled]
        carried, carried_weight = total[:, settled:], weight[settled:]


@dataclass(frozen=True)
class StitchedStem:
    """A stem of a track as an iterable of blocks float32 (channels, BLOCK), as often as needed.

    `sections` are those of the stem's contract, from `plan_sections`; `load(index)` gives a section's
    `overlap_add`. The grids of several shifts are averaged, and the track's level is restored.
    """

    sections: Sequence[Section]
    load: Callable[[int], np.ndarray]
    level: Level
    level_rule: LevelRule = "track"

    def __iter__(self) -> Iterator[np.ndarray]:
        grids: dict[int, list[Section]] = {}
        for section in self.sections:
            grids.setdefault(section.shift, []).append(section)
        streams = [reblock(join_sections(grid, self.load)) for grid in grids.values()]
        for aligned in zip(*streams, strict=True):
            yield restore(reduce(np.add, aligned) / np.float32(len(aligned)), self.level, self.level_rule)
