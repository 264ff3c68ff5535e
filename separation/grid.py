"""The grid of a track: its overlapping chunks, grouped into sections, and the cutting of their segments.

    track     0 ─────────────────────────────────────────────── length
    chunk 0   [0 ......... SEGMENT)
    chunk 1            [stride ......... stride + SEGMENT)
    chunk 2                     [2 stride ............ length)      often short

Source: `apply_model` and `TensorChunk` in demucs/apply.py (4.1.0).
"""

from dataclasses import dataclass

import numpy as np

from separation.contract import MAX_SHIFT, OVERLAP, SEGMENT, STRIDE
from separation.errors import UsageError


@dataclass(frozen=True, slots=True)
class Chunk:
    """`length` samples of a track from sample `start`; the last one is often short.

    `start` is negative where a shifted grid starts before the track.
    """

    start: int
    length: int

    @property
    def stop(self) -> int:
        return self.start + self.length

    @property
    def segment_start(self) -> int:
        """First sample of the segment: a short chunk is centred in it."""
        return self.start - (SEGMENT - self.length) // 2


@dataclass(frozen=True, slots=True)
class Section:
    """Consecutive chunks of one grid of a track; `index` counts all sections of the track from 0.

    `shift` is the number of the grid: all sections of grid 0 come before those of grid 1.
    """

    index: int
    shift: int
    chunks: tuple[Chunk, ...]

    @property
    def start(self) -> int:
        return self.chunks[0].start

    @property
    def stop(self) -> int:
        """One past the last sample that this section adds to; the next section may start before it."""
        return max(chunk.stop for chunk in self.chunks)


def stride_of(overlap: float) -> int:
    """Samples from one chunk's start to the next for an overlap in [0, 1), as demucs rounds it."""
    stride = int((1 - overlap) * SEGMENT) if 0 <= overlap < 1 else 0
    if stride < 1:
        raise UsageError(f"overlap must be at least 0 and under 1, not {overlap}")
    return stride


def draw_shifts(count: int, seed: int) -> tuple[int, ...]:
    """For each of `count` grids, how many samples before the track it starts; `(0,)` for a count of 0.

    demucs draws `offset` in 0..22,050 and puts `22,050 - offset` samples of silence before the track; a
    shift is that difference. All specialists of a run use the same shifts.
    """
    if count < 0:
        raise UsageError(f"shifts must be 0 or more, not {count}")
    if count == 0:
        return (0,)
    drawn = np.random.default_rng(seed).integers(0, MAX_SHIFT, size=count, endpoint=True)
    return tuple(int(shift) for shift in drawn)


def plan_chunks(track_length: int, stride: int = STRIDE, shift: int = 0) -> list[Chunk]:
    """The grid of a track of `track_length` samples; it starts `shift` samples before the track."""
    return [Chunk(start, min(SEGMENT, track_length - start)) for start in range(-shift, track_length, stride)]


def plan_sections(
    track_length: int,
    chunks_per_section: int | None,
    overlap: float = OVERLAP,
    shifts: tuple[int, ...] = (0,),
) -> list[Section]:
    """All chunks of one grid per shift, in sections of at most `chunks_per_section` chunks of one grid.

    None puts each grid in one section.
    """
    stride = stride_of(overlap)
    sections: list[Section] = []
    for number, shift in enumerate(shifts):
        grid = plan_chunks(track_length, stride, shift)
        size = chunks_per_section or len(grid)
        for first in range(0, len(grid), size):
            chunks = tuple(grid[first : first + size])
            sections.append(Section(len(sections), number, chunks))
    return sections


def context(chunks: tuple[Chunk, ...], track_length: int) -> tuple[int, int]:
    """The samples `(start, stop)` of the track that the segments of `chunks` cover."""
    start = min(chunk.segment_start for chunk in chunks)
    stop = max(chunk.segment_start for chunk in chunks) + SEGMENT
    return max(0, start), min(track_length, stop)


def cut(mix: np.ndarray, chunk: Chunk, mix_start: int = 0) -> np.ndarray:
    """The segment centred on `chunk`: (channels, samples) -> (channels, SEGMENT).

    `mix` may be a part of the track, from sample `mix_start` on, that covers the chunk's `context`. A short
    chunk is surrounded by the track's own samples, and by zeros only beyond the track's ends, as
    `TensorChunk.padded` does; zeros everywhere would change the last seconds.
    """
    start = chunk.segment_start - mix_start
    segment = np.zeros((mix.shape[0], SEGMENT), dtype=mix.dtype)
    inside = slice(max(0, start), min(mix.shape[1], start + SEGMENT))
    segment[:, inside.start - start : inside.stop - start] = mix[:, inside]
    return segment


def is_silent(mix: np.ndarray, chunk: Chunk, mix_start: int = 0) -> bool:
    """Whether all that a specialist would see of the chunk is digital silence; `mix` as for `cut`."""
    return not cut(mix, chunk, mix_start).any()


def uncut(segment: np.ndarray, chunk: Chunk) -> np.ndarray:
    """The chunk's own samples of its segment, a view: (..., SEGMENT) -> (..., chunk.length)."""
    margin = chunk.start - chunk.segment_start
    return segment[..., margin : margin + chunk.length]
