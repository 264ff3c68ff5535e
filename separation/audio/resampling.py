"""A track at any rate -> the models' rate, in pieces that are resampled independently of each other.

    input, seconds   |-- margin --|-------- piece k --------|-- margin --|
    output                        |-------- piece k --------|

A piece of 10 s starts at a whole sample at any two rates. It is resampled from its own input and one second
on either side, far longer than the filter, so samples [start, stop) of a track have the same bits whether all
of it is resampled or only the pieces that they need. At quality VHQ the pieces equal the track resampled at
once except for the last bit of some samples, or within 3e-5 where the rates have no small ratio (44,099 Hz).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr

PIECE_S = 10  # seconds
MARGIN_S = 1  # seconds


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces that cover samples [start, stop) at `sample_rate`, and the input samples that they need."""

    rate: int  # Hz, of the input
    start: int
    stop: int | None
    sample_rate: int  # Hz, of the output

    @property
    def samples(self) -> int:
        """Of the output, in each piece."""
        return PIECE_S * self.sample_rate

    @property
    def first(self) -> int:
        return self.start // self.samples

    @property
    def input_start(self) -> int:
        return max(0, self.first * PIECE_S - MARGIN_S) * self.rate

    @property
    def input_stop(self) -> int | None:
        if self.stop is None:
            return None
        return (-(-self.stop // self.samples) * PIECE_S + MARGIN_S) * self.rate


def resample(blocks: Iterator[np.ndarray], pieces: Pieces) -> Iterator[np.ndarray]:
    """Samples [start, stop) of the output, from the input's blocks (channels, n) from `input_start` on."""
    source = _SlidingBuffer(blocks, pieces.input_start)
    piece = pieces.first
    while pieces.stop is None or piece * pieces.samples < pieces.stop:
        begin = max(0, piece * PIECE_S - MARGIN_S)  # seconds
        audio = source.read(begin * pieces.rate, ((piece + 1) * PIECE_S + MARGIN_S) * pieces.rate)
        if audio.shape[1] <= (piece * PIECE_S - begin) * pieces.rate:
            return  # the track ended before this piece
        audio = soxr.resample(audio.T, pieces.rate, pieces.sample_rate, quality="VHQ").T
        start = max(pieces.start, piece * pieces.samples)
        piece += 1
        stop = piece * pieces.samples
        stop = stop if pieces.stop is None else min(stop, pieces.stop)
        offset = begin * pieces.sample_rate
        yield audio[:, start - offset : stop - offset]


class _SlidingBuffer:
    """Random access to a stream of blocks, keeping only what later reads may ask for."""

    def __init__(self, blocks: Iterator[np.ndarray], start: int):
        self._blocks = blocks
        self._held: list[np.ndarray] = []
        self._start = self._stop = start  # samples in `_held`

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples [start, stop), fewer if the stream ends; `start` may not be less than in the last call."""
        while self._stop < stop and (block := next(self._blocks, None)) is not None:
            self._held.append(block)
            self._stop += block.shape[1]
        if not self._held:
            return np.zeros((1, 0), dtype=np.float32)
        joined = np.concatenate(self._held, axis=1)[:, start - self._start :]
        self._held, self._start = [joined], start
        return joined[:, : stop - start]
