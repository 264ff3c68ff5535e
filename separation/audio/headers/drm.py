"""Encrypted files (DRM), recognised by their headers so that they are not reported as corrupt.

ffmpeg opens such files and decodes noise, or nothing.
"""

import struct
from typing import BinaryIO
from uuid import UUID

from separation.audio.headers.mp4 import boxes, inside
from separation.errors import ErrorKind, TrackError

MP4_ENTRIES = {b"drms": "FairPlay", b"enca": "Common Encryption", b"aavd": "Audible"}  # instead of mp4a
MP4_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
ASF_HEADER = UUID("75b22630-668e-11cf-a6d9-00aa0062ce6c").bytes_le
ASF_OBJECTS = {
    UUID("2211b3fb-bd23-11d2-b4b7-00a0c955fc6e").bytes_le: "Windows Media DRM 1",
    UUID("298ae614-2622-4c17-b935-dae07ee9289c").bytes_le: "Windows Media DRM 7",
    UUID("43058533-6981-49e6-9b74-ad12cb86d58c").bytes_le: "Windows Media DRM for devices",
}


def refuse_encrypted(file: BinaryIO, uri: str) -> None:
    """Raises `TrackError(DRM)` for MP4 and ASF files whose headers declare encryption."""
    file.seek(0)
    magic = file.read(16)
    scheme = None
    if magic[4:8] == b"ftyp":
        scheme = "Audible" if magic[8:11] in (b"aax", b"AAX") else _mp4_scheme(file)
    elif magic == ASF_HEADER:
        scheme = _asf_scheme(file)
    if scheme:
        raise TrackError(uri, ErrorKind.DRM, f"encrypted ({scheme})")


def _mp4_scheme(file: BinaryIO) -> str | None:
    file.seek(0, 2)
    for begin, end in inside(file, 0, file.tell(), MP4_PATH):
        for name, _, _ in boxes(file, begin + 8, end):  # after version, flags and count
            if name in MP4_ENTRIES:
                return MP4_ENTRIES[name]
    return None


def _asf_scheme(file: BinaryIO) -> str | None:
    file.seek(16)
    size, objects = struct.unpack("<QI", file.read(12).ljust(12, b"\0"))
    position = 30
    for _ in range(min(objects, 1_000)):
        file.seek(position)
        guid, length = file.read(16), file.read(8)
        if len(length) < 8 or position >= size:
            return None
        if guid in ASF_OBJECTS:
            return ASF_OBJECTS[guid]
        position += max(24, struct.unpack("<Q", length)[0])
    return None
