"""A file's bytes -> its own samples, at its own rate, through one of two libraries.

soundfile reads what it can seek to the very sample: uncompressed audio and FLAC, whose damage it reports.
PyAV (ffmpeg) reads everything else. soundfile also knows MP3 and Ogg, but loses a third of a VBR MP3
without a Xing header and all but the first of joined MP3 or Ogg streams, without a word.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO, Protocol

import av
import numpy as np
import soundfile
from av.error import FFmpegError, InvalidDataError

from separation.errors import Kind, TrackError
from separation.headers import declared_bytes, mp3_frames

BLOCK = 65_536  # samples
EXACT = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
SOUND = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff", b"caff", b".snd", b"fLaC", b"ID3")
FORM_TYPES = {b"RIFF": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}  # the others are video, pictures, ...
UNKNOWN_LENGTH = 2**63 - 1  # soundfile's account of a FLAC that was streamed
# What PyAV may take the bytes for. Without a list, a playlist that calls itself song.mp3 opens other files.
FORMATS = "aac,ac3,aiff,ape,asf,au,caf,eac3,flac,matroska,mov,mp3,ogg,tta,w64,wav,wv"
LOSS_ALLOWED = 0.01  # share of a lossy file that may be damaged, e.g. a tag that passes for its last packet


class Decoder(Protocol):
    """`declared_samples` is the header's account; what `samples` yields decides."""

    rate: int  # Hz
    channels: int
    codec: str
    declared_samples: int | None

    def samples(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        """Samples [start, stop) at the file's rate, in blocks (channels, n) float32."""


def open_decoder(file: BinaryIO, uri: str) -> Decoder:
    """The library that reads this file right; TrackError if neither does."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise TrackError(uri, Kind.EMPTY, "an object of 0 bytes")
    end = declared_bytes(file)
    if end is not None and end > size:
        raise TrackError(uri, Kind.TRUNCATED, f"the header declares {end} bytes; the object has {size}")
    sound = _open_sound(file, uri)
    if sound is None or sound.subtype not in EXACT or sound.frames in (0, UNKNOWN_LENGTH):
        return AvDecoder(file, uri)
    return SoundDecoder(sound, uri)


def _open_sound(file: BinaryIO, uri: str) -> soundfile.SoundFile | None:
    """What soundfile makes of a file that begins as one of its own; None if it is for PyAV to try."""
    file.seek(0)
    magic = file.read(12)
    if not magic.startswith(SOUND) or (magic[:4] in FORM_TYPES and magic[8:] not in FORM_TYPES[magic[:4]]):
        return None
    file.seek(0)
    try:
        return soundfile.SoundFile(file)
    except TypeError:  # the file's name ends in .raw, which soundfile takes for the absence of a header
        return None
    except soundfile.LibsndfileError as error:
        try:
            AvDecoder(file, uri)  # it knows more codecs inside WAV, and MP3 behind an ID3 tag
        except TrackError:
            reason = f"libsndfile: {error.error_string or 'damaged header'}"
            raise TrackError(uri, Kind.BAD_HEADER, reason) from error
        return None


class SoundDecoder:
    def __init__(self, sound: soundfile.SoundFile, uri: str):
        self._sound, self._uri = sound, uri
        self.rate: int = sound.samplerate
        self.channels: int = sound.channels
        self.codec = f"{sound.format} {sound.subtype}".lower()
        self.declared_samples: int | None = sound.frames

    def samples(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        stop = self._sound.frames if stop is None else min(stop, self._sound.frames)
        position = start
        try:
            if start < stop:
                self._sound.seek(start)
            while position < stop:
                block = self._sound.read(min(BLOCK, stop - position), dtype="float32", always_2d=True)
                if not len(block):
                    raise TrackError(
                        self._uri,
                        Kind.TRUNCATED,
                        f"the data ends at sample {position}; the header declares {self._sound.frames}",
                    )
                position += len(block)
                yield np.ascontiguousarray(block.T)
        except soundfile.LibsndfileError as error:
            raise TrackError(
                self._uri,
                Kind.CORRUPT,
                f"damaged {self.codec} data after sample {position} of {self._sound.frames}",
            ) from error


class AvDecoder:
    """Decodes from the first packet every time: no lossy codec can be entered at a sample.

    Encoder delay and padding are cut as ffmpeg cuts them. Rate and channels are the first frame's, because
    the header of an HE-AAC file tells the half of them.
    """

    def __init__(self, file: BinaryIO, uri: str):
        self._file, self._uri = file, uri
        with self._open() as container:
            stream = container.streams.audio[0]
            first = next(self._frames(container), None)
            if first is None:
                raise TrackError(uri, Kind.EMPTY, "a file of a known format without one sample")
            self.rate: int = first.sample_rate
            self.channels: int = first.layout.nb_channels
            self.codec: str = stream.codec_context.codec.name
            self.declared_samples: int | None = None
            if stream.duration and stream.time_base:
                self.declared_samples = round(stream.duration * stream.time_base * self.rate)
            self._counted = container.format.name.startswith("mov")  # else the declared length is a guess
            frames = mp3_frames(file) if container.format.name == "mp3" else None
            if frames:
                self.declared_samples = frames * (1152 if self.rate >= 32_000 else 576)
                self._counted = True

    def samples(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        position = 0
        with self._open() as container:
            for frame in self._frames(container):
                if (frame.sample_rate, frame.layout.nb_channels) != (self.rate, self.channels):
                    raise TrackError(
                        self._uri,
                        Kind.UNSUPPORTED,
                        f"{self.rate} Hz, {self.channels} channels become {frame.sample_rate} Hz,"
                        f" {frame.layout.nb_channels} channels at sample {position}",
                    )
                first, position = position, position + frame.samples
                if position > start:
                    last = None if stop is None else stop - first
                    yield planar(frame)[:, max(0, start - first) : last]
                if stop is not None and position >= stop:
                    return
        declared = self.declared_samples if self._counted else None
        if declared and position < declared * (1 - LOSS_ALLOWED) - self.rate / 10:
            reason = f"the header declares {declared} samples; {position} can be decoded"
            raise TrackError(self._uri, Kind.TRUNCATED, reason)

    def _open(self) -> "av.container.InputContainer":
        self._file.seek(0)
        try:
            container = av.open(self._file, mode="r", options={"format_whitelist": FORMATS})
        except FFmpegError as error:
            raise TrackError(self._uri, Kind.NOT_AUDIO, "no decoder knows these bytes") from error
        if not container.streams.audio:
            container.close()
            raise TrackError(self._uri, Kind.NOT_AUDIO, f"{container.format.name} without an audio stream")
        container.streams.audio[0].codec_context.thread_count = 1
        return container

    def _frames(self, container: "av.container.InputContainer") -> Iterator[av.AudioFrame]:
        packets, damaged = 0, 0
        try:
            for packet in container.demux(container.streams.audio[0]):
                packets += 1
                try:
                    yield from packet.decode()
                except InvalidDataError:
                    damaged += 1
        except FFmpegError as error:
            raise TrackError(self._uri, Kind.CORRUPT, error.strerror or type(error).__name__) from error
        if damaged > max(1, packets * LOSS_ALLOWED):
            raise TrackError(self._uri, Kind.CORRUPT, f"{damaged} of {packets} packets cannot be decoded")


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
