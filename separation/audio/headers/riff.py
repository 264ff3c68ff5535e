"""Formats made of named chunks, each with its size: WAV and its relatives, AIFF, CAF, Wave64, DSD; and AU."""

import os
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

    def aligned(self, offset: int) -> int:
        return offset + -offset % self.alignment


@dataclass(frozen=True, slots=True)
class FileChunk:
    name: bytes
    begin: int  # offset in bytes
    content: int  # offset of its first byte after name and size
    size: int  # bytes as declared: a placeholder, or with the header, in some formats


STREAMED_32 = (range(1), range(0x7FFF_F000, 0x8000_0001), range(0xFFFF_F000, 0x1_0000_0000))
RIFF = ChunkLayout(12, 4, "<I", False, 2, b"data", STREAMED_32)
WAVE64 = ChunkLayout(40, 16, "<Q", True, 8, b"data", (range(1),))
LAYOUTS = {
    b"RIFF": RIFF,
    b"RF64": RIFF,
    b"BW64": RIFF,
    b"RIFX": ChunkLayout(12, 4, ">I", False, 2, b"data", STREAMED_32),
    b"FORM": ChunkLayout(12, 4, ">I", False, 2, b"SSND", STREAMED_32),
    b"riff": WAVE64,
    b"caff": ChunkLayout(8, 4, ">q", False, 1, b"data", (range(-1, 0),)),
    b"DSD ": ChunkLayout(28, 4, "<Q", True, 1, b"data", ()),  # DSF
    b"FRM8": ChunkLayout(16, 4, ">Q", False, 2, b"DSD ", ()),  # DSDIFF
}
AU_UNKNOWN = 0xFFFF_FFFF


def layout_of(file: BinaryIO) -> ChunkLayout | None:
    file.seek(0)
    return LAYOUTS.get(file.read(4))


def chunk_at(file: BinaryIO, layout: ChunkLayout, begin: int) -> FileChunk | None:
    """The chunk whose header is at byte `begin`; None if the file ends within that header, or before."""
    if begin >= file.seek(0, os.SEEK_END):  # a file refuses to seek to 2**63, which a size may say
        return None
    file.seek(begin)
    header_bytes = layout.name_bytes + struct.calcsize(layout.size_format)
    header = file.read(header_bytes)
    if len(header) < header_bytes:
        return None
    (size,) = struct.unpack(layout.size_format, header[layout.name_bytes :])
    return FileChunk(header[: layout.name_bytes], begin, begin + header_bytes, size)


def end_of(chunk: FileChunk, layout: ChunkLayout, size: int) -> int | None:
    """The byte offset at which a chunk of declared `size` ends; None if that is before its content."""
    end = (chunk.begin if layout.size_includes_header else chunk.content) + size
    return end if end >= chunk.content else None


def declared_end(file: BinaryIO) -> int | None:
    """The byte offset at which the audio ends according to the header; None if the header does not say."""
    layout = layout_of(file)
    if layout is None:
        return _au_end(file)
    size_in_ds64: int | None = None
    offset = layout.first_chunk
    while (chunk := chunk_at(file, layout, offset)) is not None:
        is_audio, size = chunk.name[:4] == layout.audio_chunk, chunk.size
        if size_in_ds64 is not None and size == 0xFFFF_FFFF:
            size = size_in_ds64
        elif is_audio and any(size in unknown for unknown in layout.unknown_sizes):
            return None
        end = end_of(chunk, layout, size)
        if is_audio or end is None:
            return end
        if chunk.name == b"ds64":
            fields = file.read(16)
            size_in_ds64 = struct.unpack("<QQ", fields)[1] if len(fields) == 16 else None
        offset = layout.aligned(end)
    return None


def _au_end(file: BinaryIO) -> int | None:
    file.seek(0)
    header = file.read(12)
    if header[:4] != b".snd" or len(header) < 12:
        return None
    begin, size = struct.unpack(">II", header[4:])
    return None if size == AU_UNKNOWN else begin + size
