"""Tags before and behind the audio: ID3, APE and Lyrics3. They are no part of any audio format."""

import os
import re
from typing import BinaryIO

from separation.errors import ErrorKind, TrackError

MOST_TAGS = 4  # before one file, or behind it: one of each kind
MOST_PADDING = 1 << 20  # bytes
MPEG_SYNC = re.compile(rb"\xff[\xe0-\xff]")
ID3V1_BYTES = 128
ID3V1_TEXT = slice(3, 93)  # title, artist, album: text, which compressed audio that begins with TAG is not
APE_FOOTER_BYTES = 32
LYRICS_FOOTER_BYTES = 15  # six digits and LYRICS200


def id3_end(file: BinaryIO, begin: int = 0) -> int:
    """Byte offset at which the ID3v2 tag that starts at `begin` ends; `begin` if there is none."""
    file.seek(begin)
    tag = file.read(10)
    return begin + _id3_bytes(tag) if tag[:3] == b"ID3" and len(tag) == 10 else begin


def tags_end(file: BinaryIO) -> int:
    """Byte offset at which the ID3v2 tags at the start of the file end: often one, sometimes two."""
    end = 0
    for _ in range(MOST_TAGS):
        end = id3_end(file, end)
    return end


def mpeg_begin(file: BinaryIO, begin: int) -> int:
    """Byte offset of the MPEG frame behind zeros from byte `begin` on; `begin` if there is no such frame.

    With padding before its first frame, a decoder misses what that says about the encoder's delay.
    """
    file.seek(begin)
    data = file.read(MOST_PADDING)
    zeros = len(data) - len(data.lstrip(b"\0"))
    return begin + zeros if MPEG_SYNC.match(data[zeros : zeros + 2]) else begin


def refuse_lone_tag(file: BinaryIO, uri: str, size: int) -> None:
    """Raises `TrackError` for a file that is only a tag (often a cover picture) with no audio after it."""
    end = tags_end(file)
    if end > size:
        raise TrackError(uri, ErrorKind.TRUNCATED, f"its tag declares {end} bytes; the object has {size}")
    if end and size - end <= ID3V1_BYTES:
        raise TrackError(uri, ErrorKind.NO_AUDIO_STREAM, f"a tag of {end} bytes and no audio after it")


def tags_begin(file: BinaryIO) -> int:
    """Byte offset at which the tags at the end of the file begin; its size if it has none."""
    begin = file.seek(0, os.SEEK_END)
    for _ in range(MOST_TAGS):
        begin -= _last_tag_bytes(file, begin)
    return begin


def _last_tag_bytes(file: BinaryIO, end: int) -> int:
    """The size in bytes of the tag that ends at byte `end`; 0 if none does."""
    file.seek(max(0, end - ID3V1_BYTES))
    tail = file.read(min(end, ID3V1_BYTES))
    size = 0
    if tail[:3] == b"TAG" and not re.search(rb"[\x01-\x1f]", tail[ID3V1_TEXT]):
        size = ID3V1_BYTES
    elif tail[-APE_FOOTER_BYTES:][:8] == b"APETAGEX":
        footer = tail[-APE_FOOTER_BYTES:]
        has_header = footer[23] & 0x80
        size = int.from_bytes(footer[12:16], "little") + (APE_FOOTER_BYTES if has_header else 0)
    elif tail.endswith(b"LYRICS200") and tail[-LYRICS_FOOTER_BYTES:-9].isdigit():
        size = int(tail[-LYRICS_FOOTER_BYTES:-9]) + LYRICS_FOOTER_BYTES
    elif tail[-10:-7] == b"3DI":  # the footer of an ID3v2.4 tag
        size = _id3_bytes(tail[-10:]) + 10
    return size if size <= end else 0


def _id3_bytes(header: bytes) -> int:
    a, b, c, d = header[6:10]  # seven bits each
    return 10 + (a << 21 | b << 14 | c << 7 | d)
