"""The plan of a track: which samples the model sees, in which order, and how they are grouped.

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

    `start` is negative where a shifted grid begins before the track.
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
    """Consecutive chunks of one of a track's grids; `index` counts a track's sections from 0.

    `shift` says which grid: the sections of shift 0 come first, then those of shift 1.
    """

    index: int
    shift: int
    chunks: tuple[Chunk, ...]

    @property
    def start(self) -> int:
        return self.chunks[0].start

    @property
    def stop(self) -> int:
        """One past the last sample that this section adds to; the next section may begin before it."""
        return max(chunk.stop for chunk in self.chunks)


def stride_of(overlap: float) -> int:
    """Samples from one chunk's start to the next for an overlap in [0, 1), as demucs rounds it."""
    stride = int((1 - overlap) * SEGMENT) if 0 <= overlap < 1 else 0
    if stride < 1:
        raise UsageError(f"overlap must be at least 0 and under 1, not {overlap}")
    return stride


def draw_shifts(count: int, seed: int) -> tuple[int, ...]:
    """How many samples before the track each of `count` grids begins; `(0,)` for a count of 0.

    demucs draws `offset` in 0..22,050 and separates the track from `22,050 - offset` samples of
    silence before its start; this is that difference. All specialists of a run share the draw.
    """
    if count < 0:
        raise UsageError(f"shifts must be 0 or more, not {count}")
    if count == 0:
        return (0,)
    drawn = np.random.default_rng(seed).integers(0, MAX_SHIFT, size=count, endpoint=True)
    return tuple(int(shift) for shift in drawn)


def plan_chunks(track_length: int, stride: int = STRIDE, shift: int = 0) -> list[Chunk]:
    """The grid of a track of `track_length` samples, beginning `shift` samples before it."""
    return [Chunk(start, min(SEGMENT, track_length - start)) for start in range(-shift, track_length, stride)]


def plan_sections(
    track_length: int, chunks_per_section: int, overlap: float = OVERLAP, shifts: tuple[int, ...] = (0,)
) -> list[Section]:
    """All chunks of all grids in groups of at most `chunks_per_section`; a group has one grid."""
    stride = stride_of(overlap)
    sections: list[Section] = []
    for number, shift in enumerate(shifts):
        grid = plan_chunks(track_length, stride, shift)
        for first in range(0, len(grid), chunks_per_section):
            chunks = tuple(grid[first : first + chunks_per_section])
            sections.append(Section(len(sections), number, chunks))
    return sections


def context(chunks: tuple[Chunk, ...], track_length: int) -> tuple[int, int]:
    """The part of the track, `(start, stop)` in samples, that the segments of `chunks` touch."""
    start = min(chunk.segment_start for chunk in chunks)
    stop = max(chunk.segment_start for chunk in chunks) + SEGMENT
    return max(0, start), min(track_length, stop)


def cut(mix: np.ndarray, chunk: Chunk, mix_start: int = 0) -> np.ndarray:
    """The segment centred on `chunk`: (channels, samples) -> (channels, SEGMENT).

    `mix` may be a part of the track that begins at sample `mix_start`, if it holds the chunk's
    `context`. A short chunk is surrounded by the track's own audio, and by zeros only beyond its
    ends, as `TensorChunk.padded` does; zeros everywhere would change the last seconds.
    """
    start = chunk.segment_start - mix_start
    segment = np.zeros((mix.shape[0], SEGMENT), dtype=mix.dtype)
    inside = slice(max(0, start), min(mix.shape[1], start + SEGMENT))
    segment[:, inside.start - start : inside.stop - start] = mix[:, inside]
    return segment


def uncut(segment: np.ndarray, chunk: Chunk) -> np.ndarray:
    """The chunk's own samples of its segment, a view: (..., SEGMENT) -> (..., chunk.length)."""
    margin = chunk.start - chunk.segment_start
    return segment[..., margin : margin + chunk.length]
