"""MP3: the ID3v2 tag before the audio, and the count of frames in the first one."""

import re
from typing import BinaryIO

from separation.errors import ErrorKind, TrackError

ID3V1_BYTES = 128


def mp3_frames(file: BinaryIO) -> int | None:
    """The number of frames according to an MP3's Xing, Info or VBRI header; None if it has none.

    ffmpeg's own figure becomes a guess from the bit rate when a large tag follows the audio.
    """
    file.seek(id3_end(file))
    first_frame = file.read(2048)  # none is longer than 1,441 bytes
    found = re.search(
        rb"(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f](....)|VBRI.{10}(....)", first_frame, re.DOTALL
    )
    return int.from_bytes(found[1] or found[2], "big") if found else None


def id3_end(file: BinaryIO) -> int:
    """Byte offset at which the ID3v2 tag at the start of the file ends; 0 if there is none."""
    file.seek(0)
    tag = file.read(10)
    if tag[:3] != b"ID3" or len(tag) < 10:
        return 0
    a, b, c, d = tag[6:]  # seven bits each
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def refuse_lone_tag(file: BinaryIO, uri: str, size: int) -> None:
    """Raises `TrackError` for a file that is only a tag (often a cover picture) with no audio after it."""
    end = id3_end(file)
    if end > size:
        raise TrackError(uri, ErrorKind.TRUNCATED, f"its tag declares {end} bytes; the object has {size}")
    if end and size - end <= ID3V1_BYTES:
        raise TrackError(uri, ErrorKind.NO_AUDIO_STREAM, f"a tag of {end} bytes and no audio after it")
