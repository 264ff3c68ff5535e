"""Weighted overlap-add of a stem's segments back into the track, one section after the other.

    section 0   ▁▃▅▇▇▇▇▇▇▇▅▃▁            weighted sums, not yet divided
    section 1            ▁▃▅▇▇▇▇▇▅▃▁
    stitched    ━━━━━━━━━┿━━━━┿━━━━━━    divided by the weights once no later section can add to a sample

The segments are added in the order of the grid, each to the sum of all before it, so that a stem has the same
bits however its grid is divided into sections. A section does not know the sum that comes before it. So where
sections before it add too, in its `shared` samples, it keeps its chunks apart, and `join_sections` adds them.

Sources: the loop after `weight = th.cat(...)` in `apply_model`, demucs/apply.py (4.1.0); `demix` in
msst/utils/model_utils.py (0.1.0).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import pairwise, takewhile

import numpy as np

from separation.blocks import reblock
from separation.contract import CHANNELS, LevelRule
from separation.grid import Chunk, Section, uncut
from separation.level import Level, restore


def weights(chunk: Chunk) -> np.ndarray:
    """The chunk's weights in the sum: float32 (chunk.length,).

    A short chunk is weighted with the start of the window, not its middle, as in demucs and in MSST.
    """
    if chunk.window == "fade":
        # Of a grid's only chunk, demix leaves out the fade at its start alone.
        return faded(chunk.segment, chunk.is_first, chunk.is_last and not chunk.is_first)[: chunk.length]
    return window(chunk.segment)[: chunk.length]


@cache
def faded(segment: int, flat_start: bool, flat_end: bool) -> np.ndarray:
    """1 but for linear fades from 0 and to 0 over a tenth of the segment, float32 (segment,); a flat side has
    no fade. Source: `_getWindowingArray` in msst/utils/model_utils.py (0.1.0)."""
    window, fade = np.ones(segment, np.float32), segment // 10
    if not flat_end:
        window[segment - fade :] = np.linspace(1, 0, fade)
    if not flat_start:
        window[:fade] = np.linspace(0, 1, fade)
    return window


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

    `sum` is float32 (channels, n): the section's samples, then what `_kept_apart` says.
    """

    def __init__(self, section: Section, channels: int = CHANNELS):
        self._section, self._apart = section, _kept_apart(section)
        self.sum = np.zeros((channels, _sum_length(section)), np.float32)

    def add(self, chunk: Chunk, segment: np.ndarray) -> None:
        """`segment` is the chunk's: float32 (channels, segment)."""
        weighted = weights(chunk) * uncut(segment, chunk)
        within, apart = _within(self._section, chunk), self._apart.get(chunk, slice(0, 0))
        shared = apart.stop - apart.start
        self.sum[:, apart] = weighted[:, :shared]
        self.sum[:, within.start + shared : within.stop] += weighted[:, shared:]


def overlap_add(section: Section, segments: Iterable[np.ndarray]) -> np.ndarray:
    """The weighted sum of the section's segments, as `WeightedSum.sum`.

    `segments` are (channels, segment), one per chunk.
    """
    total = WeightedSum(section)
    for chunk, segment in zip(section.chunks, segments, strict=True):
        total.add(chunk, segment)
    return total.sum


def silence(section: Section) -> np.ndarray:
    """The weighted sum of a section whose segments are all zero, as `WeightedSum.sum`."""
    return np.zeros((CHANNELS, _sum_length(section)), np.float32)


def _kept_apart(section: Section) -> dict[Chunk, slice]:
    """Of each chunk but the first that begins in the section's shared samples, the place of its part of these
    in the section's sum: behind all samples of the section. Empty up to an overlap of 0.5.

    The first needs no place of its own: all that comes before it is one number, and a + b = b + a.
    """
    apart: dict[Chunk, slice] = {}
    stop, at = section.start + section.shared, section.stop - section.start
    for chunk in takewhile(lambda chunk: chunk.start < stop, section.chunks[1:]):
        apart[chunk] = slice(at, at := at + min(stop, chunk.stop) - chunk.start)
    return apart


def _sum_length(section: Section) -> int:
    return max((place.stop for place in _kept_apart(section).values()), default=section.stop - section.start)


def _within(section: Section, chunk: Chunk) -> slice:
    """The chunk's samples, counted from the section's start."""
    return slice(chunk.start - section.start, chunk.stop - section.start)


def join_sections(
    sections: Sequence[Section], load: Callable[[int], np.ndarray], track_length: int
) -> Iterator[np.ndarray]:
    """The stem of one grid from its sections, in order: consecutive blocks float32 (channels, n).

    `load(section.index)` gives a section's `overlap_add`; only one is in memory at a time. Where all weights
    are 0, at the very ends of fades that meet no other chunk, the stem is 0, as in MSST.
    """
    carried: np.ndarray = np.zeros((1, 0), np.float32)
    carried_weight: np.ndarray = np.zeros(0, np.float32)
    for section, following in pairwise([*sections, None]):
        assert section is not None
        samples, loaded = section.stop - section.start, load(section.index)
        total, weight = loaded[:, :samples].copy(), np.zeros(samples, np.float32)
        total[:, : carried.shape[1]] += carried
        for chunk, place in _kept_apart(section).items():
            begin = chunk.start - section.start
            total[:, begin : begin + place.stop - place.start] += loaded[:, place]
        weight[: carried_weight.shape[0]] += carried_weight
        for chunk in section.chunks:
            weight[_within(section, chunk)] += weights(chunk)
        settled = (section.stop if following is None else following.start) - section.start
        in_track = slice(max(0, -section.start), min(settled, track_length - section.start))
        own, own_weight = total[:, in_track], weight[in_track]
        yield np.divide(own, own_weight, out=np.zeros_like(own), where=own_weight != 0)
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
        length = self.level.length
        streams = [reblock(join_sections(grid, self.load, length)) for grid in grids.values()]
        for aligned in zip(*streams, strict=True):
            yield restore(reduce(np.add, aligned) / np.float32(len(aligned)), self.level, self.level_rule)
