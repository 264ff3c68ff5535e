"""How long a file is by its own header's account.

Decoders read what is there and call it the whole track, so only this shows that an upload broke off.
"""

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Container:
    """How a chunked format lays out its chunks: a name, a size, the bytes, padding."""

    first_chunk: int  # offset in bytes
    name_bytes: int
    size_format: str
    size_includes_header: bool
    alignment: int
    audio_chunk: bytes
    unknown_sizes: tuple[range, ...]  # what writers that could not seek back left there


STREAMED_32 = (range(1), range(0x7FFF_F000, 0x8000_0001), range(0xFFFF_F000, 0x1_0000_0000))
RIFF = Container(12, 4, "<I", False, 2, b"data", STREAMED_32)
CONTAINERS = {
    b"RIFF": RIFF,
    b"RF64": RIFF,
    b"BW64": RIFF,
    b"RIFX": Container(12, 4, ">I", False, 2, b"data", STREAMED_32),
    b"FORM": Container(12, 4, ">I", False, 2, b"SSND", STREAMED_32),
    b"riff": Container(40, 16, "<Q", True, 8, b"data", (range(1),)),  # Sony Wave64
    b"caff": Container(8, 4, ">q", False, 1, b"data", (range(-1, 0),)),
}


def declared_bytes(file: BinaryIO) -> int | None:
    """The offset at which the header says the audio ends; None if it does not say."""
    file.seek(0)
    magic = file.read(4)
    container = CONTAINERS.get(magic)
    if container is None:
        return None
    size_in_ds64: int | None = None
    offset = container.first_chunk
    header_bytes = container.name_bytes + struct.calcsize(container.size_format)
    while True:
        file.seek(offset)
        header = file.read(header_bytes)
        if len(header) < header_bytes:
            return None
        name = header[:4]
        size: int = struct.unpack(container.size_format, header[container.name_bytes :])[0]
        if size_in_ds64 is not None and size == 0xFFFF_FFFF:
            size = size_in_ds64
        elif name == container.audio_chunk and any(size in unknown for unknown in container.unknown_sizes):
            return None
        if container.size_includes_header:
            size -= header_bytes
        if size < 0:
            return None
        end = offset + header_bytes + size
        if name == container.audio_chunk:
            return end
        if name == b"ds64":
            fields = file.read(16)
            size_in_ds64 = struct.unpack("<QQ", fields)[1] if len(fields) == 16 else None
        offset = end + -end % container.alignment


def mp3_frames(file: BinaryIO) -> int | None:
    """The count of frames in an MP3's Xing, Info or VBRI header; None if it has none.

    ffmpeg's own figure is a guess from the bit rate as soon as a large tag follows the audio.
    """
    file.seek(0)
    tag = file.read(10)
    start = 0
    if tag[:3] == b"ID3" and len(tag) == 10:
        a, b, c, d = tag[6:]  # seven bits each
        start = 10 + (a << 21 | b << 14 | c << 7 | d)
    file.seek(start)
    first_frame = file.read(2048)  # none is longer than 1,441 bytes
    found = re.search(
        rb"(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f](....)|VBRI.{10}(....)", first_frame, re.DOTALL
    )
    return int.from_bytes(found[1] or found[2], "big") if found else None
