"""Formats made of named chunks, each with its size: WAV and its relatives, AIFF, CAF, Wave64."""

import struct
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class ChunkLayout:
    """How a format writes its chunks: a name, a size, the bytes, padding."""

    first_chunk: int  # offset in bytes
    name_bytes: int
    size_format: str
    size_includes_header: bool
    alignment: int
    audio_chunk: bytes
    unknown_sizes: tuple[range, ...]  # placeholders of writers that could not seek back


STREAMED_32 = (range(1), range(0x7FFF_F000, 0x8000_0001), range(0xFFFF_F000, 0x1_0000_0000))
RIFF = ChunkLayout(12, 4, "<I", False, 2, b"data", STREAMED_32)
LAYOUTS = {
    b"RIFF": RIFF,
    b"RF64": RIFF,
    b"BW64": RIFF,
    b"RIFX": ChunkLayout(12, 4, ">I", False, 2, b"data", STREAMED_32),
    b"FORM": ChunkLayout(12, 4, ">I", False, 2, b"SSND", STREAMED_32),
    b"riff": ChunkLayout(40, 16, "<Q", True, 8, b"data", (range(1),)),  # Sony Wave64
    b"caff": ChunkLayout(8, 4, ">q", False, 1, b"data", (range(-1, 0),)),
}


def declared_end(file: BinaryIO) -> int | None:
    """The byte offset at which the audio ends according to the header; None if the header does not say."""
    file.seek(0)
    magic = file.read(4)
    layout = LAYOUTS.get(magic)
    if layout is None:
        return None
    size_in_ds64: int | None = None
    offset = layout.first_chunk
    header_bytes = layout.name_bytes + struct.calcsize(layout.size_format)
    while True:
        file.seek(offset)
        header = file.read(header_bytes)
        if len(header) < header_bytes:
            return None
        name = header[:4]
        size: int = struct.unpack(layout.size_format, header[layout.name_bytes :])[0]
        if size_in_ds64 is not None and size == 0xFFFF_FFFF:
            size = size_in_ds64
        elif name == layout.audio_chunk and any(size in unknown for unknown in layout.unknown_sizes):
            return None
        if layout.size_includes_header:
            size -= header_bytes
        if size < 0:
            return None
        end = offset + header_bytes + size
        if name == layout.audio_chunk:
            return end
        if name == b"ds64":
            fields = file.read(16)
            size_in_ds64 = struct.unpack("<QQ", fields)[1] if len(fields) == 16 else None
        offset = end + -end % layout.alignment


def second_file(file: BinaryIO, end: int) -> int | None:
    """Byte offset of a second WAV or AIFF after the audio, which ends at byte `end`; None without one."""
    file.seek(0)
    magic = file.read(4)
    size_format = "<I" if magic == b"RIFF" else ">I"
    while magic in (b"RIFF", b"FORM"):
        end += end % 2
        file.seek(end)
        header = file.read(8)
        if len(header) < 8:
            return None
        if header[:4] == magic:
            return end
        end += 8 + struct.unpack(size_format, header[4:])[0]
    return None
