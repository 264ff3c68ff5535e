"""A file -> the mix: float32 (2, samples) at the models' rate, in blocks, of the whole track or a part of it.

This is the work of a decoder process (`decoder_process`). Call it directly only for files that we wrote
ourselves: any other may crash the process that decodes it.
"""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from separation.audio.decoders import Decoder, OnProgress, ignore_progress
from separation.audio.decoders.choose import open_decoder
from separation.audio.downmix import downmix, gains, layout
from separation.audio.limits import DEFAULTS, MOST_CHANNELS, RATES, SANE_RATES, Limits
from separation.audio.resampling import Pieces, resample
from separation.errors import ErrorKind, TrackError, WarningKind
from separation.level import peak

LARGEST_SAMPLE = 1e30  # above this, a sum of squares or a stem may overflow float32


def open_audio(
    file: BinaryIO,
    uri: str,
    limits: Limits = DEFAULTS,
    on_progress: OnProgress = ignore_progress,
    *,
    sample_rate: int | None,
) -> "Reader":
    """A reader of `file`, which the caller closes; errors name it by `uri`.

    The mix is resampled to `sample_rate`, in Hz; None keeps the file's own. `on_progress` is called after
    each decoded block, also of those that `blocks` skips.
    """
    decoder = open_decoder(file, uri, on_progress)
    if decoder.rate not in SANE_RATES:
        raise TrackError(uri, ErrorKind.BAD_HEADER, f"the header declares {decoder.rate} samples a second")
    if decoder.rate not in RATES:
        reason = f"{decoder.rate} Hz; from {RATES[0]} to {RATES[-1]} Hz can be separated"
        raise TrackError(uri, ErrorKind.UNSUPPORTED, reason)
    if decoder.channels > MOST_CHANNELS:
        reason = f"{decoder.channels} channels; 1 to {MOST_CHANNELS} can be separated"
        raise TrackError(uri, ErrorKind.UNSUPPORTED, reason)
    reader = Reader(decoder, uri, limits, sample_rate)
    if decoder.declared_is_exact and reader.duration_s and reader.duration_s > limits.hours * 3600:
        reason = f"the header declares {reader.duration_s / 3600:.2f} h; the limit is {limits.hours:g} h"
        raise TrackError(uri, ErrorKind.TOO_LONG, reason)
    return reader


class Reader:
    """One open file, whose mix is resampled to `sample_rate`, in Hz; None keeps the file's own.

    `sample_rate_hz`, `channels`, `codec` and `duration_s` are those of the source file.
    `duration_s` is the declared duration: an estimate for an MP3 without a Xing header, None if unknown.
    """

    def __init__(self, decoder: Decoder, uri: str, limits: Limits, sample_rate: int | None):
        self._decoder, self._uri, self._limits = decoder, uri, limits
        self._sample_rate = sample_rate or decoder.rate
        self.sample_rate_hz = decoder.rate
        self.channels = decoder.channels
        self.codec = decoder.codec
        declared = decoder.declared_samples
        self.duration_s = None if declared is None else declared / decoder.rate
        self._layout = layout(decoder.channels, decoder.channel_names) if decoder.channels > 2 else ()

    @property
    def warnings(self) -> list[str]:
        """What is unusual about the file; complete once `blocks` was read to the end."""
        if not self._layout:
            return self._decoder.warnings
        sentence = f"{self.channels} channels ({' '.join(self._layout)}) mixed to stereo"
        return [WarningKind.DOWNMIX.warning(sentence), *self._decoder.warnings]

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """Samples [start, stop) of the mix in blocks (2, n); fewer if the track ends before.

        The bits do not depend on the range. Where the decoder can seek to a sample and nothing is resampled,
        only the range is decoded. One iteration at a time: all share the file's position.
        """
        position, limit = start, self._limits.hours * 3600 * self._sample_rate
        for block in self._range(start, stop):
            if not peak(block) <= LARGEST_SAMPLE:  # also true for NaN
                bad = ~(np.abs(block) <= LARGEST_SAMPLE).all(axis=0)
                seconds = (position + int(bad.argmax())) / self._sample_rate
                raise TrackError(
                    self._uri,
                    ErrorKind.NONFINITE,
                    f"NaN, infinite or too large samples from {seconds:.2f} s on",
                )
            if block.shape[1]:
                position += block.shape[1]
                if position > limit:
                    reason = f"more than the limit of {self._limits.hours:g} h can be decoded"
                    raise TrackError(self._uri, ErrorKind.TOO_LONG, reason)
                yield block
        if position == 0 and stop != 0:
            raise TrackError(self._uri, ErrorKind.EMPTY, "no samples")

    def _range(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        if self.sample_rate_hz == self._sample_rate:
            return self._stereo(start, stop)
        pieces = Pieces(self.sample_rate_hz, start, stop, self._sample_rate)
        return resample(self._stereo(pieces.input_start, pieces.input_stop), pieces)

    def _stereo(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        """The decoder's samples, mixed to two channels."""
        blocks = self._decoder.samples(start, stop)
        if not self._layout:
            return (block if len(block) == 2 else np.repeat(block, 2, axis=0) for block in blocks)
        matrix = gains(self._layout)
        return (downmix(block, matrix) for block in blocks)
