"""Ogg: whether its last page is complete, and whether one page holds all audio.

No other header of the format than the last page's shows that an upload broke off.
"""

import os
from typing import BinaryIO

from separation.errors import ErrorKind, TrackError

PAGE_HEADER = 27  # bytes; the last one counts the page's segments, whose sizes follow
PAGE_MOST = 65_307  # bytes of the largest page
HEADER_PAGES_MOST = 4_096  # with comments and pictures
END_OF_STREAM = 4  # flag of a page
VORBIS_CHANNELS = 11  # offset in the first packet, after its name and the version


def refuse_truncated(file: BinaryIO, uri: str) -> None:
    """Raises `TrackError(TRUNCATED)` for an Ogg file that ends within a page."""
    file.seek(0)
    if file.read(4) != b"OggS":
        return
    file.seek(max(0, file.seek(0, os.SEEK_END) - PAGE_MOST))
    tail = file.read(PAGE_MOST)
    page = tail[max(0, tail.rfind(b"OggS\0")) :]
    segments = page[PAGE_HEADER : PAGE_HEADER + page[26]] if len(page) >= PAGE_HEADER else b""
    declared = PAGE_HEADER + len(segments) + sum(segments)
    if len(page) < declared:
        reason = f"its last page declares {declared} bytes; {len(page)} are there"
        raise TrackError(uri, ErrorKind.TRUNCATED, reason)


def is_one_page_vorbis(file: BinaryIO) -> bool:
    """Whether a mono or stereo Vorbis file has its audio in a single page: up to a second.

    ffmpeg then takes the page's position for that of its first sample, and drops or adds samples at the end.
    """
    begin, size, is_vorbis = 0, file.seek(0, os.SEEK_END), False
    for index in range(HEADER_PAGES_MOST):
        file.seek(begin)
        header = file.read(PAGE_HEADER)
        if len(header) < PAGE_HEADER or header[:4] != b"OggS":
            return False
        segments = file.read(header[26])
        if index == 0:
            packet = file.read(VORBIS_CHANNELS + 1)
            is_vorbis = packet[:7] == b"\1vorbis" and packet[VORBIS_CHANNELS:] in (b"\1", b"\2")
        begin += PAGE_HEADER + len(segments) + sum(segments)
        if not is_vorbis or int.from_bytes(header[6:14], "little", signed=True) > 0:  # the audio's position
            return is_vorbis and bool(header[5] & END_OF_STREAM) and begin == size
    return False
