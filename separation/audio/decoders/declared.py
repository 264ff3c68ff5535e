"""How many samples a file behind ffmpeg declares, and whether as many were decoded."""

from dataclasses import dataclass
from typing import BinaryIO

import av

from separation.audio.decoders.damage import LOSS_ALLOWED
from separation.audio.decoders.ffmpeg_container import format_name
from separation.audio.headers.mp3 import mp3_length
from separation.errors import ErrorKind, TrackError, WarningKind

# Formats whose header counts the samples; others guess from the bit rate.
_COUNTING = "aiff ape asf caf flac matroska mov mpc mpc8 ogg tak tta wav wv"
COUNTING = frozenset(_COUNTING.split())
END_CHECKED = {"ogg"}  # headers.ogg has seen the last page, so what is missing was not cut off
OPUS_PRE_SKIP = slice(10, 12)  # of OpusHead, which is the extradata in every container


@dataclass(frozen=True, slots=True)
class Declared:
    """The declared length in samples at `rate`, exact to `unit` samples, or only a guess.

    The timestamps of the container may count `lead` samples before the first decoded one: of a recording that
    begins late, or of the encoder's delay.
    """

    samples: int | None
    is_exact: bool
    rate: int  # Hz
    lead: int = 0
    unit: int = 1
    end_is_checked: bool = False
    is_to_the_sample: bool = False  # no writer of this header rounds

    @property
    def _tolerance(self) -> float:
        return (self.samples or 0) * LOSS_ALLOWED + self._rounding

    @property
    def _rounding(self) -> float:
        """Samples by which the header of a whole file may be wrong."""
        return self.rate / 10 + self.unit

    def is_reached_by(self, samples: int) -> bool:
        """Whether a decoder that gave `samples` came to the declared end; False if that is unknown."""
        return bool(self.samples) and self.is_exact and samples >= self._least

    @property
    def _least(self) -> float:
        return (self.samples or 0) - self.lead - self._tolerance

    def warnings(self, samples: int, uri: str) -> list[str]:
        """The warning if a whole pass gave another length; raises `TrackError` if it gave much less."""
        if not self.samples or not self.is_exact:
            return []
        if samples < self._least:
            reason = f"the header declares {self.samples} samples; {samples} can be decoded"
            raise TrackError(uri, ErrorKind.CORRUPT if self.end_is_checked else ErrorKind.TRUNCATED, reason)
        if samples < self.samples - self.lead - (0 if self.is_to_the_sample else self._rounding):
            sentence = f"the header declares {self.samples} samples; {samples} can be decoded"
            return [WarningKind.LENGTH.warning(sentence)]
        if samples > self.samples + self._tolerance:
            sentence = (
                f"the header declares {self.samples / self.rate:.1f} s; {samples / self.rate:.1f} s decoded"
            )
            return [WarningKind.LENGTH.warning(sentence)]
        return []


def declared_length(container: "av.container.InputContainer", file: BinaryIO, rate: int) -> Declared:
    """What the headers of `file`, open as `container` and decoded at `rate`, say about its length."""
    stream, name = container.streams.audio[0], format_name(container)
    if name == "mp3" and (length := mp3_length(file, rate)) and length.samples:
        return Declared(length.samples, True, rate, is_to_the_sample=length.is_exact)
    second = stream.time_base
    start = max(0.0, float(stream.start_time * second)) if stream.start_time and second else 0.0
    seconds = float(stream.duration * second) if stream.duration and second else None
    if seconds is None and container.duration and len(container.streams) == 1:
        seconds = container.duration / av.time_base
    return Declared(
        samples=None if seconds is None else round(seconds * rate),
        is_exact=name in COUNTING,
        rate=rate,
        lead=round(start * rate) + _encoder_delay(stream.codec_context),
        unit=round(float(second) * rate) if second else 1,
        end_is_checked=name in END_CHECKED,
    )


def _encoder_delay(context: "av.codec.CodecContext") -> int:
    """Samples at 48 kHz, the rate at which Opus is decoded."""
    extradata = bytes(context.extradata or b"")
    return int.from_bytes(extradata[OPUS_PRE_SKIP], "little") if extradata.startswith(b"OpusHead") else 0
