"""A file -> the mix: float32 (2, samples) at 44.1 kHz, in blocks, of the whole track or a part of it."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from separation.contract import SAMPLE_RATE
from separation.decoders import Decoder, open_decoder
from separation.errors import Kind, TrackError
from separation.resampling import Pieces, resample

RATES = range(8_000, 192_001)  # Hz
SANE_RATES = range(1_000, 1_000_001)  # a header of 1 Hz makes a billion samples out of a few bytes


def open_audio(file: BinaryIO, uri: str) -> "Reader":
    """A reader of `file`, which stays the caller's to close; `uri` is what errors call it."""
    decoder = open_decoder(file, uri)
    if decoder.rate not in SANE_RATES:
        raise TrackError(uri, Kind.BAD_HEADER, f"the header declares {decoder.rate} samples a second")
    if decoder.rate not in RATES:
        reason = f"{decoder.rate} Hz; from {RATES[0]} to {RATES[-1]} Hz can be separated"
        raise TrackError(uri, Kind.UNSUPPORTED, reason)
    if decoder.channels > 2:
        reason = f"{decoder.channels} channels; mono and stereo can be separated"
        raise TrackError(uri, Kind.UNSUPPORTED, reason)
    return Reader(decoder, uri)


class Reader:
    """One track. `sample_rate_hz`, `channels`, `codec` and `duration_s` are the source's own.

    `duration_s` is what the file declares, an estimate for an MP3 without a Xing header, None if unknown.
    """

    def __init__(self, decoder: Decoder, uri: str):
        self._decoder, self._uri = decoder, uri
        self.sample_rate_hz = decoder.rate
        self.channels = decoder.channels
        self.codec = decoder.codec
        declared = decoder.declared_samples
        self.duration_s = None if declared is None else declared / decoder.rate

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Samples [start, stop) of the 44.1 kHz mix in blocks (2, n); fewer if the track ends before.

        The bits do not depend on the range. Where the file can be entered at a sample and needs no
        resampling, only the range is decoded. One iteration at a time: they share the file.
        """
        position = start
        for block in self._range(start, stop):
            finite = np.isfinite(block).all(axis=0)
            if not finite.all():
                seconds = (position + int(finite.argmin())) / SAMPLE_RATE
                raise TrackError(
                    self._uri, Kind.NONFINITE, f"NaN or infinite samples from {seconds:.2f} s on"
                )
            if block.shape[1]:
                position += block.shape[1]
                yield block if self.channels == 2 else np.repeat(block, 2, axis=0)
        if position == 0 and stop != 0:
            raise TrackError(self._uri, Kind.EMPTY, "no samples")

    def _range(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        if self.sample_rate_hz == SAMPLE_RATE:
            return self._decoder.samples(start, stop)
        pieces = Pieces(self.sample_rate_hz, start, stop)
        return resample(self._decoder.samples(pieces.input_start, pieces.input_stop), pieces)
