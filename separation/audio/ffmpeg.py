"""ffmpeg, through PyAV, with its doors closed: what it may try, and what it says of damage."""

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import numpy as np
from av.error import FFmpegError

from separation.audio import containers
from separation.errors import Kind, TrackError, Warn

# What ffmpeg may take the bytes for. Without a list, a playlist that calls itself song.mp3 opens other files.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,caf,dsf,dts,eac3,flac,iff,matroska,mov,mp3,mpc,mpc8,ogg,tak,tta,w64,wav,wv"
)
# No decoder of pictures runs, not even to see how large a cover is.
_CODECS = """aac ac3 adpcm_ima_qt adpcm_ima_wav adpcm_ms alac amrnb amrwb ape dca dsd_lsbf dsd_lsbf_planar
dsd_msbf dsd_msbf_planar eac3 flac gsm gsm_ms libopus mp1 mp1float mp2 mp2float mp3 mp3float mpc7 mpc8 opus
speex tak tta vorbis wavpack wmalossless wmapro wmav1 wmav2"""
CODECS = {*_CODECS.split(), *(name for name in av.codecs_available if name.startswith("pcm_"))}
OPTIONS = {
    "format_whitelist": FORMATS,
    "codec_whitelist": ",".join(sorted(CODECS)),
    "protocol_whitelist": "none",  # the bytes come from the file we hold; there is nothing else to open
}
LOSSLESS = {"flac", "alac", "wavpack", "tta", "tak", "ape", "wmalossless"}
# Formats whose header counts the samples; others guess from the bit rate.
COUNTING = {
    "mov",
    "asf",
    "wv",
    "tta",
    "ape",
    "flac",
    "mpc",
    "mpc8",
    "tak",
    "matroska",
    "aiff",
    "caf",
    "wav",
    "ogg",
}
UNTIMED = {"wav", "w64", "aiff", "au"}  # ffmpeg derives their timestamps from sizes, for ADPCM wrongly
LOSS_ALLOWED = 0.01  # share of a lossy file that may be damaged, e.g. a tag that passes for its last packet
GAP_S = 0.02  # of timestamps: some containers round them to a millisecond; a lost packet is longer


@dataclass
class Damage:
    """What one pass over a stream could not decode."""

    packets: int = 0
    bytes: int = 0  # of all packets
    bad_packets: int = 0
    bad_bytes: int = 0
    missing: int = 0  # samples that the timestamps leap over

    def share(self, samples: int) -> float:
        """Of the stream, by bytes or by time, whichever is larger."""
        return max(self.bad_bytes / max(1, self.bytes), self.missing / max(1, samples + self.missing))


class AvDecoder:
    """Decodes from the first packet every time: no lossy codec can be entered at a sample.

    Encoder delay and padding are cut as ffmpeg cuts them. Rate and channels are the first frame's, because
    the header of an HE-AAC file tells the half of them.
    """

    def __init__(self, file: BinaryIO, uri: str, alive: Callable[[], None] = lambda: None):
        self._file, self._uri, self._alive = file, uri, alive
        self.warnings: list[str] = []
        with open_container(file, uri) as container:
            stream = container.streams.audio[0]
            self.codec: str = stream.codec_context.name
            damage = Damage()
            first = next(self._frames(container, damage), None)
            if first is None and damage.bad_packets:
                raise TrackError(uri, Kind.CORRUPT, f"none of {damage.packets} packets can be decoded")
            if first is None:
                raise TrackError(uri, Kind.EMPTY, f"a file of {format_name(container)} without one sample")
            self.rate: int = first.sample_rate
            self.channels: int = first.layout.nb_channels
            self.names = tuple(channel.name for channel in first.layout.channels)
            self._is_whole = format_name(container) == "ogg"  # its last page is there, and was counted
            self.declared_samples, self.declared_is_exact = self._declared(container)

    def _declared(self, container: "av.container.InputContainer") -> tuple[int | None, bool]:
        stream, name = container.streams.audio[0], format_name(container)
        if name == "mp3" and (frames := containers.mp3_frames(self._file)):
            return frames * (1152 if self.rate >= 32_000 else 576), True
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
        if seconds is None and container.duration and len(container.streams) == 1:
            seconds = container.duration / av.time_base
        return None if seconds is None else round(seconds * self.rate), name in COUNTING

    def samples(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        position, damage = 0, Damage()
        with open_container(self._file, self._uri) as container:
            for frame in self._frames(container, damage):
                if (frame.sample_rate, frame.layout.nb_channels) != (self.rate, self.channels):
                    raise TrackError(
                        self._uri,
                        Kind.UNSUPPORTED,
                        f"{self.rate} Hz, {self.channels} channels become {frame.sample_rate} Hz,"
                        f" {frame.layout.nb_channels} channels at sample {position}",
                    )
                self._alive()
                first, position = position, position + frame.samples
                if position > start:
                    last = None if stop is None else stop - first
                    yield planar(frame)[:, max(0, start - first) : last]
                if stop is not None and position >= stop:
                    return
        found = self._judge(damage, position)
        self.warnings += [warning for warning in found if warning not in self.warnings]

    def _judge(self, damage: Damage, samples: int) -> list[str]:
        """The warnings about a whole pass; raises if it lost more than may be lost."""
        lost = damage.share(samples)
        what = (
            f"{damage.bad_packets} of {damage.packets} packets cannot be decoded, "
            f"{damage.missing / self.rate:.2f} s are missing"
        )
        allowed = 0.0 if self.codec in LOSSLESS else LOSS_ALLOWED
        if lost > allowed and (damage.missing or damage.bad_packets > 1 or self.codec in LOSSLESS):
            raise TrackError(self._uri, Kind.CORRUPT, f"damaged {self.codec} data: {what}")
        warnings = [Warn.RECOVERED.of(f"{what} and left out")] if lost else []
        declared = self.declared_samples if self.declared_is_exact else None
        if not declared:
            return warnings
        tolerance = declared * LOSS_ALLOWED + self.rate / 10
        if samples < declared - tolerance:
            reason = f"the header declares {declared} samples; {samples} can be decoded"
            raise TrackError(self._uri, Kind.CORRUPT if self._is_whole else Kind.TRUNCATED, reason)
        if samples > declared + tolerance:
            sentence = (
                f"the header declares {declared / self.rate:.1f} s; {samples / self.rate:.1f} s decoded"
            )
            warnings.append(Warn.LENGTH.of(sentence))
        return warnings

    def _frames(self, container: "av.container.InputContainer", damage: Damage) -> Iterator[av.AudioFrame]:
        expected: float | None = None  # seconds at which the next frame begins
        stream, timed = container.streams.audio[0], format_name(container) not in UNTIMED
        for packet in self._packets(container):
            damage.packets += 1
            damage.bytes += packet.size
            try:
                frames = packet.decode()
            except FFmpegError as error:
                refuse_hunger(error)
                damage.bad_packets += 1
                damage.bad_bytes += packet.size
                continue
            for frame in frames:
                if timed and frame.pts is not None and stream.time_base:
                    begin = float(frame.pts * (frame.time_base or stream.time_base))
                    if expected is not None and begin - expected > GAP_S:
                        damage.missing += round((begin - expected) * frame.sample_rate)
                    expected = begin + frame.samples / frame.sample_rate
                yield frame

    def _packets(self, container: "av.container.InputContainer") -> Iterator[Any]:
        try:
            yield from container.demux(container.streams.audio[0])
        except FFmpegError as error:
            refuse_hunger(error)
            raise TrackError(self._uri, Kind.CORRUPT, f"damaged {self.codec} data: {_said(error)}") from error


def open_container(file: BinaryIO, uri: str) -> "av.container.InputContainer":
    """The file as ffmpeg sees it, with an audio stream that one of CODECS decodes."""
    file.seek(0)
    try:
        container = av.open(file, mode="r", options=OPTIONS, metadata_errors="replace")
    except FFmpegError as error:
        refuse_hunger(error)
        kind, reason = containers.why_unreadable(file)
        raise TrackError(uri, kind, reason) from error
    streams = container.streams.audio
    context = streams[0].codec_context if streams else None
    if context is None or context.name not in CODECS:
        name = format_name(container)
        container.close()
        if not streams:
            raise TrackError(uri, Kind.NO_AUDIO_STREAM, f"{name} without an audio stream")
        codec = context.name if context is not None else "unknown"
        raise TrackError(uri, Kind.UNSUPPORTED, f"{name} with the codec {codec}, which is not taken")
    context.thread_count = 1
    if context.name in LOSSLESS:
        context.options = {"err_detect": "crccheck+explode"}  # else ffmpeg drops a damaged frame in silence
    return container


def channel_names(file: BinaryIO, uri: str) -> tuple[str, ...]:
    """Which channels a file declares, by ffmpeg's names; empty if it does not."""
    try:
        with open_container(file, uri) as container:
            return tuple(channel.name for channel in container.streams.audio[0].codec_context.layout.channels)
    except TrackError:
        return ()


def format_name(container: "av.container.InputContainer") -> str:
    return str(container.format.name.partition(",")[0])


def refuse_hunger(error: FFmpegError) -> None:
    """Memory is the process's to end over, not a packet's."""
    if error.errno == errno.ENOMEM:
        raise MemoryError from error


def _said(error: FFmpegError) -> str:
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
