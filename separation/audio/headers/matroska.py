"""Matroska and WebM: whether the file ends within an element (RFC 8794, RFC 9559).

ffmpeg plays what is there. Only a file with one stream has a duration that could show what is missing.
"""

import os
from typing import BinaryIO

from separation.errors import ErrorKind, TrackError

EBML = bytes.fromhex("1a45dfa3")
SEGMENT_ID = bytes.fromhex("18538067")
MASTERS = {SEGMENT_ID: "segment", bytes.fromhex("1f43b675"): "cluster"}
MOST_ELEMENTS = 200_000  # that are looked at where the segment was written without its size


def refuse_truncated(file: BinaryIO, uri: str) -> None:
    """Raises `TrackError(TRUNCATED)` for a Matroska file that ends within an element."""
    size, begin = file.seek(0, os.SEEK_END), 0
    for _ in range(MOST_ELEMENTS):
        file.seek(begin)
        header = file.read(12)
        name, body = header[: _octets(header)], header[_octets(header) :]
        octets = _octets(body)
        if (begin == 0 and name != EBML) or not 0 < octets <= len(body):
            return
        content = begin + len(name) + octets
        length = int.from_bytes(body[:octets], "big") & ((1 << 7 * octets) - 1)
        if length < (1 << 7 * octets) - 1:
            if content + length > size:
                found = MASTERS.get(name, "element")
                reason = f"its {found} ends at byte {content + length}; the object has {size}"
                raise TrackError(uri, ErrorKind.TRUNCATED, reason)
            if name == SEGMENT_ID:
                return
            begin = content + length
        elif name in MASTERS:  # of unknown size, as live streams have: its elements follow
            begin = content
        else:
            return


def _octets(field: bytes) -> int:
    """The length in bytes of the number at the start of `field`: one more than its leading zero bits."""
    return 9 - field[0].bit_length() if field else 0
