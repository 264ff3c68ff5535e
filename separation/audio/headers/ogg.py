"""Ogg: whether the last page is complete. No other header of the format shows that an upload broke off."""

import os
from typing import BinaryIO

from separation.errors import ErrorKind, TrackError

PAGE_HEADER = 27  # bytes; the last one counts the page's segments, whose sizes follow
PAGE_MOST = 65_307  # bytes of the largest page


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
