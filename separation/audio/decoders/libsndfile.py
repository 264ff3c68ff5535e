"""libsndfile, through soundfile: uncompressed audio, FLAC and very short Vorbis, read from any sample on."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from separation.audio.decoders import OnProgress
from separation.audio.decoders.ffmpeg_container import has_frame_from
from separation.audio.headers.behind import second_file_warnings
from separation.audio.headers.ogg import is_one_page_vorbis
from separation.errors import ErrorKind, TrackError, WarningKind

READ_SAMPLES = 65_536
SEEKABLE_SUBTYPES = {
    "PCM_S8",
    "PCM_U8",
    "PCM_16",
    "PCM_24",
    "PCM_32",
    "FLOAT",
    "DOUBLE",
    "ULAW",
    "ALAW",
    "VORBIS",  # of one page, the only one that is opened here
}
SIGNATURES = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"riff", b"caff", b".snd", b"fLaC")
FORM_TYPES = {b"RIFF": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}  # other types hold video, pictures, ...
UNKNOWN_LENGTH = 2**63 - 1  # what soundfile reports for a FLAC that was streamed


def has_signature(file: BinaryIO) -> bool:
    """Whether the file begins like one of the formats that we let libsndfile read."""
    file.seek(0)
    magic = file.read(12)
    if magic[:4] == b"OggS":
        return is_one_page_vorbis(file)
    return magic.startswith(SIGNATURES) and (
        magic[:4] not in FORM_TYPES or magic[8:] in FORM_TYPES[magic[:4]]
    )


def can_seek_exactly(sound: soundfile.SoundFile) -> bool:
    return sound.subtype in SEEKABLE_SUBTYPES and sound.frames not in (0, UNKNOWN_LENGTH)


class LibsndfileDecoder:
    """Seeks to the requested sample; damage and a missing end raise `TrackError`."""

    def __init__(
        self,
        file: BinaryIO,
        sound: soundfile.SoundFile,
        channel_names: tuple[str, ...],
        uri: str,
        on_progress: OnProgress,
    ):
        self._file, self._sound, self._uri, self._on_progress = file, sound, uri, on_progress
        self.rate: int = sound.samplerate
        self.channels: int = sound.channels
        self.channel_names = channel_names
        self.codec = f"{sound.format} {sound.subtype}".lower()
        self.declared_samples: int | None = sound.frames
        self.declared_is_exact = True
        self.warnings: list[str] = []

    def samples(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        is_whole = stop is None and start == 0
        stop = self._sound.frames if stop is None else min(stop, self._sound.frames)
        position = start
        try:
            if start < stop:
                self._sound.seek(start)
            while position < stop:
                block = self._sound.read(min(READ_SAMPLES, stop - position), dtype="float32", always_2d=True)
                if not len(block):
                    raise TrackError(
                        self._uri,
                        ErrorKind.TRUNCATED,
                        f"the data ends at sample {position}; the header declares {self._sound.frames}",
                    )
                position += len(block)
                self._on_progress()
                yield np.ascontiguousarray(block.T)
        except soundfile.LibsndfileError as error:
            raise TrackError(
                self._uri,
                ErrorKind.CORRUPT,
                f"damaged {self.codec} data after sample {position} of {self._sound.frames}",
            ) from error
        if is_whole:
            found = [*second_file_warnings(self._file), *self._length_warnings()]
            self.warnings += [warning for warning in found if warning not in self.warnings]

    def _length_warnings(self) -> list[str]:
        """The warning if a FLAC goes on where its header ends it: libsndfile stops there."""
        if self._sound.format != "FLAC" or not has_frame_from(self._file, self._uri, self._sound.frames):
            return []
        sentence = f"the header declares {self._sound.frames} samples; more follow and are left out"
        return [WarningKind.LENGTH.warning(sentence)]
