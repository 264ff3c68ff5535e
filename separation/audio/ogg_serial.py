"""Replaces the random serial number in Ogg files, so that the same samples give the same bytes.

Every page holds the stream's serial number, which libsndfile draws at random for each file.
"""

import struct
import zlib
from pathlib import Path

SERIAL = 1
PAGE_HEADER = 27  # bytes; the serial is at 14, the checksum at 22, the count of segments at 26
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def fix_serial(path: Path) -> None:
    """Sets the serial number of all pages of a file with one stream to SERIAL, in place."""
    data = bytearray(path.read_bytes())
    start = 0
    while start < len(data):
        segments = data[start + 26]
        body = sum(data[start + PAGE_HEADER : start + PAGE_HEADER + segments])
        end = start + PAGE_HEADER + segments + body
        data[start + 14 : start + 18] = struct.pack("<I", SERIAL)
        data[start + 22 : start + 26] = bytes(4)
        data[start + 22 : start + 26] = struct.pack("<I", checksum(bytes(data[start:end])))
        start = end
    path.write_bytes(data)


def checksum(page: bytes) -> int:
    """Ogg's CRC-32 of a page: zlib's polynomial, reversed bit order, no inversion at start and end."""
    mirrored = zlib.crc32(page.translate(MIRRORED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{mirrored:032b}"[::-1], 2)
