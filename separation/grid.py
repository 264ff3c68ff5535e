"""The grid of a track: its overlapping chunks, grouped into sections, and the cutting of their segments.

    track     0 ─────────────────────────────────────────────── length
    chunk 0   [0 ......... segment)
    chunk 1            [stride ......... stride + segment)
    chunk 2                     [2 stride ............ length)      often short

A track has a grid for every contract of its stems, and for every shift.

With edges that `reflect`, the grid of a track longer than twice the border begins a border before it and
ends a border after it, where border = segment - stride and the track is mirrored at its first and its last
sample; that of a shorter track has no borders:

              border              track               border
         [ ..3 2 1 | 0 1 2 3 .................... n-1 | n-2 n-3.. ]
    0    [ ......... segment)

Sources: `apply_model` and `TensorChunk` in demucs/apply.py (4.1.0); `demix` in msst/utils/model_utils.py
(0.1.0) with a batch size of 1: with any other, a chunk's window depends on those that share its batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from separation.contract import Edges, Window
from separation.errors import UsageError


@dataclass(frozen=True, slots=True)
class Chunk:
    """`length` samples of a track from sample `start`; the last one is often short.

    `start` is negative where a grid starts before the track, shifted or by a border; with a border, chunks
    end after the track too. `segment` is the length of the segment that it is cut with, `window` and `edges`
    are the contract's. `is_first` and `is_last` say where in its grid it is, however that is divided.
    """

    start: int
    length: int
    segment: int
    window: Window = "triangle"
    edges: Edges = "context"
    is_first: bool = False
    is_last: bool = False

    @property
    def stop(self) -> int:
        return self.start + self.length

    @property
    def segment_start(self) -> int:
        """First sample of the segment: a short chunk is centred in it, or at its start if edges reflect."""
        return self.start if self.edges == "reflect" else self.start - (self.segment - self.length) // 2

    def reach(self, track_length: int) -> tuple[int, int]:
        """The samples `(start, stop)` of the track that its segment is made of."""
        start, stop = self.segment_start, self.segment_start + self.segment
        if self.edges == "reflect":
            start, stop = min(start, 2 * track_length - 1 - self.stop), max(self.stop, 1 - start)
        return max(0, start), min(track_length, stop)


@dataclass(frozen=True, slots=True)
class Section:
    """Consecutive chunks of one grid of a track; `index` counts all sections of the track from 0.

    Its grid is that of a `contract`, by name, and of a shift, by its number. All sections of one grid come
    before those of the next. To its first `shared` samples the sections before it add as well.
    """

    index: int
    contract: str
    shift: int
    chunks: tuple[Chunk, ...]
    shared: int = 0

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
    window: Window = "triangle"
    edges: Edges = "context"

    def chunks(self, track_length: int, shift: int = 0) -> list[Chunk]:
        """The grid of a track of `track_length` samples that starts `shift` samples before it.

        Chunks that begin after the track's end, which MSST infers and throws away, are left out.
        """
        border = self.segment - self.stride if self.edges == "reflect" else 0
        if track_length <= 2 * border:
            border = 0
        starts, end = range(-border - shift, track_length + border, self.stride), track_length + border
        return [
            Chunk(
                start,
                min(self.segment, end - start),
                self.segment,
                self.window,
                self.edges,
                is_first=start == starts[0],
                is_last=start == starts[-1],
            )
            for start in starts
            if start < track_length
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
                shared = grid[first - 1].stop - chunks[0].start if first else 0
                sections.append(Section(len(sections), contract, number, chunks, max(0, shared)))
    return sections


def context(chunks: tuple[Chunk, ...], track_length: int) -> tuple[int, int]:
    """The samples `(start, stop)` of the track that the segments of `chunks` are made of."""
    starts, stops = zip(*(chunk.reach(track_length) for chunk in chunks), strict=True)
    return min(starts), max(stops)


def cut(mix: np.ndarray, chunk: Chunk, mix_start: int = 0) -> np.ndarray:
    """The segment of `chunk`: (channels, samples) -> (channels, segment).

    `mix` may be a part of the track, from sample `mix_start` on, that covers the chunk's `context`, and so
    ends with the track where the segment goes beyond it. A short chunk is surrounded by the track's own
    samples, and by zeros only beyond the track's ends, as `TensorChunk.padded` does; zeros everywhere would
    change the last seconds. For edges that reflect, see `_cut_reflected`.
    """
    if chunk.edges == "reflect":
        return _cut_reflected(mix, chunk, mix_start)
    start = chunk.segment_start - mix_start
    segment = np.zeros((mix.shape[0], chunk.segment), dtype=mix.dtype)
    inside = slice(max(0, start), min(mix.shape[1], start + chunk.segment))
    segment[:, inside.start - start : inside.stop - start] = mix[:, inside]
    return segment


def _cut_reflected(mix: np.ndarray, chunk: Chunk, mix_start: int) -> np.ndarray:
    """The segment that begins with `chunk`, the track mirrored at its ends.

    A chunk shorter than the segment is mirrored at its own end if it fills more than half of it, else it is
    followed by zeros.
    """
    start, stop, samples = chunk.start - mix_start, chunk.stop - mix_start, mix.shape[1]
    before, after = max(0, -start), max(0, stop - samples)
    segment = np.zeros((mix.shape[0], chunk.segment), dtype=mix.dtype)
    segment[:, :before] = mix[:, before:0:-1]
    segment[:, before : chunk.length - after] = mix[:, max(0, start) : min(samples, stop)]
    segment[:, chunk.length - after : chunk.length] = mix[:, samples - 1 - after : samples - 1][:, ::-1]
    missing = chunk.segment - chunk.length
    if chunk.length > chunk.segment // 2:
        mirrored = segment[:, chunk.length - 1 - missing : chunk.length - 1][:, ::-1]
        segment[:, chunk.length :] = mirrored
    return segment


def is_silent(mix: np.ndarray, chunk: Chunk, mix_start: int = 0) -> bool:
    """Whether all that a graph would see of the chunk is digital silence; `mix` as for `cut`."""
    return not cut(mix, chunk, mix_start).any()


def uncut(segment: np.ndarray, chunk: Chunk) -> np.ndarray:
    """The chunk's own samples of its segment, a view: (..., segment) -> (..., chunk.length)."""
    margin = chunk.start - chunk.segment_start
    return segment[..., margin : margin + chunk.length]
