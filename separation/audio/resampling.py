"""A track at any rate -> 44.1 kHz, in pieces that do not depend on one another.

    input, seconds   |-- margin --|-------- piece k --------|-- margin --|
    output                        |-------- piece k --------|

A piece of 10 s starts at a whole sample of both rates, whichever the rates are. It is resampled from its own
input and a second on either side, far beyond the filter, so samples [start, stop) of a track come out with
the same bits whether all of it is resampled or only what they need. At VHQ the pieces equal the track
resampled in one go but for the last bit of some samples, or to 3e-5 where the rates have no small ratio
(44,099 Hz).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from separation.contract import SAMPLE_RATE

PIECE = 10  # seconds
MARGIN = 1  # seconds


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces that hold samples [start, stop) at 44.1 kHz, and the input that they are made from."""

    rate: int  # Hz, of the input
    start: int
    stop: int | None

    @property
    def first(self) -> int:
        return self.start // (PIECE * SAMPLE_RATE)

    @property
    def input_start(self) -> int:
        return max(0, self.first * PIECE - MARGIN) * self.rate

    @property
    def input_stop(self) -> int | None:
        if self.stop is None:
            return None
        return (-(-self.stop // (PIECE * SAMPLE_RATE)) * PIECE + MARGIN) * self.rate


def resample(blocks: Iterator[np.ndarray], pieces: Pieces) -> Iterator[np.ndarray]:
    """Samples [start, stop) at 44.1 kHz, from the input's blocks (channels, n) from `input_start` on."""
    source = _Window(blocks, pieces.input_start)
    piece = pieces.first
    while pieces.stop is None or piece * PIECE * SAMPLE_RATE < pieces.stop:
        begin = max(0, piece * PIECE - MARGIN)  # seconds
        audio = source.read(begin * pieces.rate, ((piece + 1) * PIECE + MARGIN) * pieces.rate)
        if audio.shape[1] <= (piece * PIECE - begin) * pieces.rate:
            return  # the track ends before this piece
        audio = soxr.resample(audio.T, pieces.rate, SAMPLE_RATE, quality="VHQ").T
        start = max(pieces.start, piece * PIECE * SAMPLE_RATE)
        piece += 1
        stop = piece * PIECE * SAMPLE_RATE
        stop = stop if pieces.stop is None else min(stop, pieces.stop)
        offset = begin * SAMPLE_RATE
        yield audio[:, start - offset : stop - offset]


class _Window:
    """A stream of blocks, of which only what later reads can ask for is held."""

    def __init__(self, blocks: Iterator[np.ndarray], start: int):
        self._blocks = blocks
        self._held: list[np.ndarray] = []
        self._start = self._stop = start  # of what is held, in samples

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples [start, stop), fewer if the stream ends; `start` is never before the last one's."""
        while self._stop < stop and (block := next(self._blocks, None)) is not None:
            self._held.append(block)
            self._stop += block.shape[1]
        if not self._held:
            return np.zeros((1, 0), dtype=np.float32)
        joined = np.concatenate(self._held, axis=1)[:, start - self._start :]
        self._held, self._start = [joined], start
        return joined[:, : stop - start]
