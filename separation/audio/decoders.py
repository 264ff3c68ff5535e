"""A file's bytes -> its own samples, at its own rate, through one of two libraries.

soundfile reads what it can seek to the very sample: uncompressed audio and FLAC, whose damage it reports.
PyAV (ffmpeg) reads everything else. soundfile also knows MP3 and Ogg, but loses a third of a VBR MP3
without a Xing header and all but the first of joined MP3 or Ogg streams, without a word.
"""

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

import numpy as np
import soundfile

from separation.audio import containers, drm
from separation.audio.ffmpeg import AvDecoder, channel_names
from separation.errors import Kind, TrackError, Warn

BLOCK = 65_536  # samples
EXACT = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"}
SOUND = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff", b"caff", b".snd", b"fLaC", b"ID3")
FORM_TYPES = {b"RIFF": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}  # the others are video, pictures, ...
UNKNOWN_LENGTH = 2**63 - 1  # soundfile's account of a FLAC that was streamed

Alive = Callable[[], None]  # called whenever some samples were decoded, wanted or not


class Decoder(Protocol):
    """`declared_samples` is the header's account; what `samples` yields decides."""

    rate: int  # Hz
    channels: int
    codec: str
    names: tuple[str, ...]  # of the channels, by ffmpeg's names; empty if the file does not tell
    declared_samples: int | None
    declared_is_exact: bool  # else the declared length is a guess from the bit rate
    warnings: list[str]  # complete once `samples` went to the end

    def samples(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        """Samples [start, stop) at the file's rate, in blocks (channels, n) float32."""


def open_decoder(file: BinaryIO, uri: str, alive: Alive = lambda: None) -> Decoder:
    """The library that reads this file right; TrackError if neither does."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise TrackError(uri, Kind.EMPTY, "an object of 0 bytes")
    containers.refuse_lone_tag(file, uri, size)
    drm.refuse_encrypted(file, uri)
    end = containers.declared_bytes(file)
    if end is not None and end > size:
        raise TrackError(uri, Kind.TRUNCATED, f"the header declares {end} bytes; the object has {size}")
    containers.refuse_cut_ogg(file, uri, size)
    second = containers.second_file(file, end) if end is not None else None
    decoder = _decoder(file, uri, alive)
    if second is not None:
        decoder.warnings.append(
            Warn.LENGTH.of(f"a second file begins at byte {second} of {size} and is left out")
        )
    return decoder


def _decoder(file: BinaryIO, uri: str, alive: Alive) -> Decoder:
    sound = _open_sound(file, uri, alive)
    if sound is None or sound.subtype not in EXACT or sound.frames in (0, UNKNOWN_LENGTH):
        return AvDecoder(file, uri, alive)
    names = channel_names(file, uri) if sound.channels > 2 else ()
    return SoundDecoder(sound, names, uri, alive)


def _open_sound(file: BinaryIO, uri: str, alive: Alive) -> soundfile.SoundFile | None:
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
            AvDecoder(file, uri, alive)  # it knows more codecs inside WAV, and MP3 behind an ID3 tag
        except TrackError as other:
            if other.kind in (Kind.UNSUPPORTED, Kind.EMPTY):
                raise
            reason = f"libsndfile: {error.error_string or 'damaged header'}"
            raise TrackError(uri, Kind.BAD_HEADER, reason) from error
        return None


class SoundDecoder:
    def __init__(self, sound: soundfile.SoundFile, names: tuple[str, ...], uri: str, alive: Alive):
        self._sound, self._uri, self._alive = sound, uri, alive
        self.rate: int = sound.samplerate
        self.channels: int = sound.channels
        self.names = names
        self.codec = f"{sound.format} {sound.subtype}".lower()
        self.declared_samples: int | None = sound.frames
        self.declared_is_exact = True
        self.warnings: list[str] = []

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
                self._alive()
                yield np.ascontiguousarray(block.T)
        except soundfile.LibsndfileError as error:
            raise TrackError(
                self._uri,
                Kind.CORRUPT,
                f"damaged {self.codec} data after sample {position} of {self._sound.frames}",
            ) from error
