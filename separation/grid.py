"""The grid of a track: its overlapping chunks, grouped into sections, and the cutting of their segments.

    track     0 ─────────────────────────────────────────────── length
    chunk 0   [0 ......... segment)
    chunk 1            [stride ......... stride + segment)
    chunk 2                     [2 stride ............ length)      often short

A track has a grid for every contract of its stems, and for every shift.

Source: `apply_model` and `TensorChunk` in demucs/apply.py (4.1.0).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from separation.errors import UsageError


@dataclass(frozen=True, slots=True)
class Chunk:
    """`length` samples of a track from sample `start`; the last one is often short.

    `start` is negative where a shifted grid starts before the track. `segment` is the length of the segment
    that it is cut with.
    """

    start: int
    length: int
    segment: int

    @property
    def stop(self) -> int:
        return self.start + self.length

    @property
    def segment_start(self) -> int:
        """First sample of the segment: a short chunk is centred in it."""
        return self.start - (self.segment - self.length) // 2


@dataclass(frozen=True, slots=True)
class Section:
    """Consecutive chunks of one grid of a track; `index` counts all sections of the track from 0.

    Its grid is that of a `contract`, by name, and of a shift, by its number. All sections of one grid come
    before those of the next.
    """

    index: int
    contract: str
    shift: int
    chunks: tuple[Chunk, ...]

    @property
    def start(self) -> int:
        return self.chunks[0].start

    @property
    def stop(self) -> int:
        """One past the last sample that this section adds to; the next section may start before it."""
        return max(chunk.stop for chunk in self.chunks)


def draw_shifts(count: int, seed: int, max_shift: int) -> tuple[int, ...]:
    """For each of `count` grids, how many samples before the track it starts; `(0,)` for a count of 0.

    demucs draws `offset` in 0..22,050 (`max_shift`) and puts `22,050 - offset` samples of silence before the
    track; a shift is that difference. All graphs of a run use the same shifts.
    """
    if count < 0:
        raise UsageError(f"shifts must be 0 or more, not {count}")
    if count == 0:
        return (0,)
    drawn = np.random.default_rng(seed).integers(0, max_shift, size=count, endpoint=True)
    return tuple(int(shift) for shift in drawn)


@dataclass(frozen=True, slots=True)
class GridRule:
    """How the grids of a contract are laid: what `Options` make of it, for every track of a run."""

    segment: int  # samples
    stride: int  # samples
    shifts: tuple[int, ...] = (0,)  # samples before the track at which each grid starts

    def chunks(self, track_length: int, shift: int = 0) -> list[Chunk]:
        """The grid of a track of `track_length` samples that starts `shift` samples before it."""
        return [
            Chunk(start, min(self.segment, track_length - start), self.segment)
            for start in range(-shift, track_length, self.stride)
        ]


def plan_sections(
    track_length: int,
    rules: Mapping[str, GridRule],
    chunks_per_section: int | Callable[[int], int] | None = None,
) -> list[Section]:
    """All chunks of a track: a grid per contract and shift, in sections of at most `chunks_per_section`.

    `rules` are by the contracts' names. A function gives the number for a grid from that of its chunks; None
    puts each grid in one section.
    """
    sections: list[Section] = []
    for contract, rule in rules.items():
        for number, shift in enumerate(rule.shifts):
            grid = rule.chunks(track_length, shift)
            most = chunks_per_section
            size = most(len(grid)) if callable(most) else most or len(grid)
            for first in range(0, len(grid), size):
                chunks = tuple(grid[first : first + size])
                sections.append(Section(len(sections), contract, number, chunks))
    return sections


def context(chunks: tuple[Chunk, ...], track_length: int) -> tuple[int, int]:
    """The samples `(start, stop)` of the track that the segments of `chunks` cover."""
    start = min(chunk.segment_start for chunk in chunks)
    stop = max(chunk.segment_start + chunk.segment for chunk in chunks)
    return max(0, start), min(track_length, stop)


def cut(mix: np.ndarray, chunk: Chunk, mix_start: int = 0) -> np.ndarray:
    """The segment centred on `chunk`: (channels, samples) -> (channels, segment).

    `mix` may be a part of the track, from sample `mix_start` on, that covers the chunk's `context`. A short
    chunk is surrounded by the track's own samples, and by zeros only beyond the track's ends, as
    `TensorChunk.padded` does; zeros everywhere would change the last seconds.
    """
    start = chunk.segment_start - mix_start
    segment = np.zeros((mix.shape[0], chunk.segment), dtype=mix.dtype)
    inside = slice(max(0, start), min(mix.shape[1], start + chunk.segment))
    segment[:, inside.start - start : inside.stop - start] = mix[:, inside]
    return segment


def is_silent(mix: np.ndarray, chunk: Chunk, mix_start: int = 0) -> bool:
    """Whether all that a graph would see of the chunk is digital silence; `mix` as for `cut`."""
    return not cut(mix, chunk, mix_start).any()


def uncut(segment: np.ndarray, chunk: Chunk) -> np.ndarray:
    """The chunk's own samples of its segment, a view: (..., segment) -> (..., chunk.length)."""
    margin = chunk.start - chunk.segment_start
    return segment[..., margin : margin + chunk.length]
