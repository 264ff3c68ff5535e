"""Weighted overlap-add of a stem's segments back into the track, a section at a time.

    section 0   ▁▃▅▇▇▇▇▇▇▇▅▃▁            weighted sums, not yet divided
    section 1            ▁▃▅▇▇▇▇▇▅▃▁
    stitched    ━━━━━━━━━┿━━━━┿━━━━━━    a sample is divided once no later section can add to it

Source: the loop after `weight = th.cat(...)` in `apply_model`, demucs/apply.py (4.1.0).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import pairwise

import numpy as np

from separation.blocks import reblock
from separation.contract import SEGMENT
from separation.grid import Chunk, Section, uncut
from separation.level import Level, restore


@cache
def window() -> np.ndarray:
    """The triangle that weights a segment, float32 (SEGMENT,), its maximum 1."""
    rise = np.arange(1, SEGMENT // 2 + 1)
    fall = np.arange(SEGMENT - SEGMENT // 2, 0, -1)
    triangle = np.concatenate([rise, fall]).astype(np.float32)
    window: np.ndarray = triangle / triangle.max()
    return window


def overlap_add(section: Section, segments: Iterable[np.ndarray]) -> np.ndarray:
    """The section's weighted sum over [section.start, section.stop): float32 (channels, samples).

    A short chunk takes the start of the window, not its middle, as demucs does.
    """
    total: np.ndarray | None = None
    for chunk, segment in zip(section.chunks, segments, strict=True):
        if total is None:
            total = np.zeros((segment.shape[0], section.stop - section.start), np.float32)
        total[:, _within(section, chunk)] += window()[: chunk.length] * uncut(segment, chunk)
    if total is None:
        raise ValueError("a section has at least one chunk")
    return total


def _weight(section: Section) -> np.ndarray:
    weight = np.zeros(section.stop - section.start, np.float32)
    for chunk in section.chunks:
        weight[_within(section, chunk)] += window()[: chunk.length]
    return weight


def _within(section: Section, chunk: Chunk) -> slice:
    return slice(chunk.start - section.start, chunk.stop - section.start)


def join(sections: Sequence[Section], load: Callable[[int], np.ndarray]) -> Iterator[np.ndarray]:
    """One grid's sections, in order, as consecutive blocks of the track: float32 (channels, n).

    `load(section.index)` gives a section's `overlap_add`; one is held at a time. Up to an overlap
    of 0.5 at most two chunks meet in a sample, so that the sum has the same bits however the grid
    is cut into sections; above, the order of additions differs and so may the last bit.
    """
    edge: np.ndarray = np.zeros((1, 0), np.float32)
    edge_weight: np.ndarray = np.zeros(0, np.float32)
    for section, following in pairwise([*sections, None]):
        assert section is not None
        total, weight = load(section.index).copy(), _weight(section)
        total[:, : edge.shape[1]] += edge
        weight[: edge_weight.shape[0]] += edge_weight
        settled = (section.stop if following is None else following.start) - section.start
        before_track = max(0, -section.start)  # of a shifted grid
        yield total[:, before_track:settled] / weight[before_track:settled]
        edge, edge_weight = total[:, settled:], weight[settled:]


@dataclass(frozen=True)
class StitchedStem:
    """A stem of a track as blocks float32 (channels, BLOCK); can be iterated again and again.

    `sections` are those of `plan_sections`; `load(index)` gives a section's weighted sum. The
    grids of several shifts are averaged, and the track's level restored.
    """

    sections: Sequence[Section]
    load: Callable[[int], np.ndarray]
    level: Level

    def __iter__(self) -> Iterator[np.ndarray]:
        grids: dict[int, list[Section]] = {}
        for section in self.sections:
            grids.setdefault(section.shift, []).append(section)
        streams = [reblock(join(grid, self.load)) for grid in grids.values()]
        for aligned in zip(*streams, strict=True):
            yield restore(reduce(np.add, aligned) / np.float32(len(aligned)), self.level)
