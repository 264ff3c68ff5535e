"""ffmpeg, through PyAV: every compressed format but FLAC, and what libsndfile cannot read exactly."""

from collections.abc import Iterator
from typing import Any, BinaryIO

import av
import numpy as np
from av.error import FFmpegError

from separation.audio.decoders import OnProgress, ignore_progress
from separation.audio.decoders.damage import Damage
from separation.audio.decoders.declared import declared_length
from separation.audio.decoders.ffmpeg_container import (
    LOSSLESS,
    format_name,
    open_container,
    raise_if_out_of_memory,
)
from separation.audio.headers.behind import second_file_warnings
from separation.errors import ErrorKind, TrackError, WarningKind

UNTIMED = {"wav", "w64", "aiff", "au"}  # ffmpeg derives their timestamps from sizes, for ADPCM wrongly
GAP_S = 0.02  # of timestamps: some containers round them to a millisecond; a lost packet is longer


class FfmpegDecoder:
    """Decodes from the first packet every time: no lossy codec can start at an arbitrary sample.

    Encoder delay and padding are removed by ffmpeg. Rate and channels are those of the first decoded frame:
    the header of an HE-AAC file states half of each.
    """

    def __init__(
        self,
        file: BinaryIO,
        uri: str,
        on_progress: OnProgress = ignore_progress,
        format: str | None = None,  # ffmpeg's name, where the bytes do not tell
    ):
        self._file, self._uri, self._on_progress, self._format = file, uri, on_progress, format
        self.warnings: list[str] = []
        with open_container(file, uri, format) as container:
            stream = container.streams.audio[0]
            self.codec: str = stream.codec_context.name
            damage = Damage()
            first = next(self._frames(container, damage), None)
            if first is None and damage.stop:
                raise TrackError(uri, ErrorKind.CORRUPT, f"damaged {self.codec} data: {damage.stop}")
            if first is None and damage.bad_packets:
                raise TrackError(uri, ErrorKind.CORRUPT, f"none of {damage.packets} packets can be decoded")
            if first is None:
                raise TrackError(
                    uri, ErrorKind.EMPTY, f"a file of {format_name(container)} without one sample"
                )
            self.rate: int = first.sample_rate
            self.channels: int = first.layout.nb_channels
            self.channel_names = tuple(channel.name for channel in first.layout.channels)
            self._declared = declared_length(container, file, self.rate)
            self.declared_samples = self._declared.samples
            self.declared_is_exact = self._declared.is_exact
            if (streams := len(container.streams.audio)) > 1:
                sentence = f"{streams} audio streams, of which the first was separated"
                self.warnings.append(WarningKind.STREAMS.warning(sentence))

    def samples(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        position, damage = 0, Damage()
        with open_container(self._file, self._uri, self._format) as container:
            for frame in self._frames(container, damage):
                if not self._continues(frame):
                    raise TrackError(
                        self._uri,
                        ErrorKind.UNSUPPORTED,
                        f"{self.rate} Hz, {self.channels} channels become {frame.sample_rate} Hz,"
                        f" {frame.layout.nb_channels} channels at sample {position}",
                    )
                self._on_progress()
                first, position = position, position + frame.samples
                if position > start:
                    last = None if stop is None else stop - first
                    yield planar(frame)[:, max(0, start - first) : last]
                if stop is not None and position >= stop:
                    return
        behind = self._stop_warnings(damage, position)
        lost = damage.warnings(position, self.rate, self.codec, self.codec in LOSSLESS, self._uri)
        length = self._declared.warnings(position, self._uri)
        found = [
            *behind,
            *(lost or length),  # what was left out is also missing
            *second_file_warnings(self._file),
        ]
        self.warnings += [warning for warning in found if warning not in self.warnings]

    def _continues(self, frame: av.AudioFrame) -> bool:
        """Whether a frame has the rate and channels of the first; mono and stereo may alternate."""
        channels = {self.channels, frame.layout.nb_channels}
        return frame.sample_rate == self.rate and (len(channels) == 1 or channels == {1, 2})

    def _stop_warnings(self, damage: Damage, samples: int) -> list[str]:
        """The warning if ffmpeg gave up behind the declared end; raises `TrackError` if before."""
        if not damage.stop:
            return []
        if not self._declared.is_reached_by(samples):
            raise TrackError(self._uri, ErrorKind.CORRUPT, f"damaged {self.codec} data: {damage.stop}")
        sentence = f"what follows the audio is no {self.codec} data and is left out: {damage.stop}"
        return [WarningKind.LENGTH.warning(sentence)]

    def _frames(self, container: "av.container.InputContainer", damage: Damage) -> Iterator[av.AudioFrame]:
        expected: float | None = None  # seconds at which the next frame begins
        stream, timed = container.streams.audio[0], format_name(container) not in UNTIMED
        for packet in self._packets(container, damage):
            damage.packets += 1
            damage.bytes += packet.size
            try:
                frames = packet.decode()
            except FFmpegError as error:
                raise_if_out_of_memory(error)
                damage.bad_packets += 1
                damage.bad_bytes += packet.size
                continue
            for frame in frames:
                if timed and frame.pts is not None and stream.time_base:
                    begin = float(frame.pts * (frame.time_base or stream.time_base))
                    if expected is not None and begin - expected > GAP_S:
                        damage.missing += round((begin - expected) * frame.sample_rate)
                    expected = begin
                if expected is not None:  # of several frames in a packet or block, only the first is timed
                    expected += frame.samples / frame.sample_rate
                yield frame

    def _packets(self, container: "av.container.InputContainer", damage: Damage) -> Iterator[Any]:
        try:
            yield from container.demux(container.streams.audio[0])
        except FFmpegError as error:
            raise_if_out_of_memory(error)
            damage.stop = _message(error)


def _message(error: FFmpegError) -> str:
    return str(error.strerror or type(error).__name__).lower()


def planar(frame: av.AudioFrame) -> np.ndarray:
    """A frame's samples as (channels, samples) float32; integers are scaled to [-1, 1)."""
    data = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, frame.layout.nb_channels).T
    if data.dtype == np.uint8:
        data = data.astype(np.int16) - 128
        return np.asarray(data / np.float32(128), dtype=np.float32)
    if data.dtype.kind == "i":
        return np.asarray(data / np.float64(2 ** (8 * data.dtype.itemsize - 1)), dtype=np.float32)
    return np.asarray(data, dtype=np.float32)
