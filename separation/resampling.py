"""A track at any rate -> 44.1 kHz, in pieces that do not depend on one another.

    input, seconds   |-- margin --|-------- piece k --------|-- margin --|
    output                        |-------- piece k --------|

A piece of 10 s starts at a whole sample of both rates, whichever the rates are. It is resampled from its own
input and a second on either side, far beyond the filter, so samples [start, stop) of a track come out with
the same bits whether all of it is resampled or only what they need. At VHQ the pieces equal the track
resampled in one go to the bit, or to 2e-5 where the rates have no small ratio (44,099 Hz).
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
    held, held_start, more, piece = [next(blocks, _NOTHING)], pieces.input_start, True, pieces.first
    while pieces.stop is None or piece * PIECE * SAMPLE_RATE < pieces.stop:
        begin = max(0, piece * PIECE - MARGIN) * pieces.rate
        end = ((piece + 1) * PIECE + MARGIN) * pieces.rate
        while more and held_start + sum(block.shape[1] for block in held) < end:
            block = next(blocks, _NOTHING)
            more = block.size > 0
            held += [block] if more else []
        source = np.concatenate(held, axis=1)[:, begin - held_start :]
        held, held_start = [source], begin
        if piece * PIECE * pieces.rate >= begin + source.shape[1]:
            return  # the track ends before this piece
        audio = soxr.resample(source[:, : end - begin].T, pieces.rate, SAMPLE_RATE, quality="VHQ").T
        offset = begin // pieces.rate * SAMPLE_RATE
        start = max(pieces.start, piece * PIECE * SAMPLE_RATE)
        stop = (piece + 1) * PIECE * SAMPLE_RATE
        stop = stop if pieces.stop is None else min(stop, pieces.stop)
        yield audio[:, start - offset : stop - offset]
        piece += 1


_NOTHING = np.zeros((2, 0), dtype=np.float32)
