"""What lies behind the audio that a decoder reads: a second file, or audio that the header does not count.

Decoders stop where the header says that the audio ends, and do not mention what follows.
"""

import os
from typing import BinaryIO

from separation.audio.headers.mp4 import boxes
from separation.audio.headers.riff import LAYOUTS, ChunkLayout, FileChunk, chunk_at, end_of, layout_of
from separation.audio.headers.tags import id3_end, tags_begin
from separation.errors import WarningKind

# Formats of which only the first of several joined files is decoded, and how many bytes all files of the
# format have in common at their start: too many to be found in compressed audio by chance.
JOINABLE = {b"fLaC": 8, b"TTA1": 6, b"MAC ": 6, b"tBaK": 8, b"MPCK": 6}
WAVE64_NAME_END = bytes.fromhex("00c04f8edb8a")
CHUNK_HEADER_BYTES = 8  # less is padding
READ_BYTES = 1 << 20


def warnings_after_chunks(file: BinaryIO, end: int) -> list[str]:
    """The warning about what follows the audio of a file of `headers.riff`, which ends at byte `end`.

    There is none if that is nothing, or only tags, zeros and further chunks that hold no audio.
    """
    size, layout, position = file.seek(0, os.SEEK_END), layout_of(file), end
    if layout is not None:
        position = layout.aligned(end)
        while (chunk := chunk_at(file, layout, position)) and _is_further(chunk, layout, size):
            if _has_audio(chunk, layout):
                sentence = f"a second chunk of audio begins at byte {position} of {size} and is left out"
                return [WarningKind.LENGTH.warning(sentence)]
            position = layout.aligned(end_of(chunk, layout, chunk.size) or size)
        if chunk is not None and _is_file(chunk):
            return [_left_out(position, size)]
    position = id3_end(file, position)
    rest = tags_begin(file) - position
    if rest < CHUNK_HEADER_BYTES or _is_zero(file, position):
        return []
    sentence = f"the header ends the audio at byte {end} of {size}; {rest} bytes that follow are left out"
    return [WarningKind.LENGTH.warning(sentence)]


def second_file_warnings(file: BinaryIO) -> list[str]:
    """The warning about a second file behind one of a format of JOINABLE, or MP4. Reads the whole file."""
    size, begin = file.seek(0, os.SEEK_END), id3_end(file)
    file.seek(begin)
    magic = file.read(8)
    found = None
    if magic[4:] == b"ftyp":
        starts = (content - 8 for name, content, _ in boxes(file, begin, size) if name == b"ftyp")
        found = next((start for start in starts if start > begin), None)
    elif magic[:4] in JOINABLE:
        found = _find(file, magic[: JOINABLE[magic[:4]]], begin + 8)
    return [] if found is None else [_left_out(found, size)]


def _left_out(begin: int, size: int) -> str:
    return WarningKind.LENGTH.warning(f"a second file begins at byte {begin} of {size} and is left out")


def _is_file(chunk: FileChunk) -> bool:
    return chunk.name[:4] in LAYOUTS


def _is_further(chunk: FileChunk, layout: ChunkLayout, size: int) -> bool:
    """Whether these bytes are a chunk of the same file: its name is one, and it ends within the file."""
    end = end_of(chunk, layout, chunk.size)
    is_name = chunk.name.endswith(WAVE64_NAME_END) if len(chunk.name) == 16 else _is_printable(chunk.name)
    return is_name and not _is_file(chunk) and end is not None and end <= size


def _has_audio(chunk: FileChunk, layout: ChunkLayout) -> bool:
    end = end_of(chunk, layout, chunk.size)
    return chunk.name[:4] == layout.audio_chunk and end is not None and end > chunk.content


def _is_printable(name: bytes) -> bool:
    return all(32 <= byte < 127 for byte in name)


def _is_zero(file: BinaryIO, begin: int) -> bool:
    """Whether all bytes from `begin` on are zero: padding, or silence."""
    file.seek(begin)
    while block := file.read(READ_BYTES):
        if block.strip(b"\0"):
            return False
    return True


def _find(file: BinaryIO, pattern: bytes, begin: int) -> int | None:
    """Byte offset of the first `pattern` from byte `begin` on."""
    file.seek(begin)
    held = b""
    while block := file.read(READ_BYTES):
        joined = held + block
        if (at := joined.find(pattern)) >= 0:
            return begin - len(held) + at
        begin += len(block)
        held = joined[1 - len(pattern) :]
    return None
