"""How long a file is by its own header's account.

Decoders read what is there and call it the whole track, so only this shows that an upload broke off.
"""

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from separation.audio.drm import boxes
from separation.errors import Kind, TrackError


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
    file.seek(id3_end(file))
    first_frame = file.read(2048)  # none is longer than 1,441 bytes
    found = re.search(
        rb"(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f](....)|VBRI.{10}(....)", first_frame, re.DOTALL
    )
    return int.from_bytes(found[1] or found[2], "big") if found else None


def id3_end(file: BinaryIO) -> int:
    """Where the ID3v2 tag at the file's beginning ends; 0 if there is none."""
    file.seek(0)
    tag = file.read(10)
    if tag[:3] != b"ID3" or len(tag) < 10:
        return 0
    a, b, c, d = tag[6:]  # seven bits each
    return 10 + (a << 21 | b << 14 | c << 7 | d)


ID3V1_BYTES = 128


def refuse_lone_tag(file: BinaryIO, uri: str, size: int) -> None:
    """Raises for a tag, mostly a cover, that has no music behind it."""
    end = id3_end(file)
    if end > size:
        raise TrackError(uri, Kind.TRUNCATED, f"its tag declares {end} bytes; the object has {size}")
    if end and size - end <= ID3V1_BYTES:
        raise TrackError(uri, Kind.NO_AUDIO_STREAM, f"a tag of {end} bytes and nothing behind it")


OGG_PAGE_HEADER = 27  # bytes; the last one counts the segments, whose sizes follow
OGG_PAGE_MOST = 65_307  # bytes


def refuse_cut_ogg(file: BinaryIO, uri: str, size: int) -> None:
    """Raises for an Ogg file that ends within a page: no other header tells that an upload broke off."""
    file.seek(0)
    if file.read(4) != b"OggS":
        return
    file.seek(max(0, size - OGG_PAGE_MOST))
    tail = file.read(OGG_PAGE_MOST)
    page = tail[max(0, tail.rfind(b"OggS\0")) :]
    segments = page[OGG_PAGE_HEADER : OGG_PAGE_HEADER + page[26]] if len(page) >= OGG_PAGE_HEADER else b""
    declared = OGG_PAGE_HEADER + len(segments) + sum(segments)
    if len(page) < declared:
        reason = f"its last page declares {declared} bytes; {len(page)} are there"
        raise TrackError(uri, Kind.TRUNCATED, reason)


def second_file(file: BinaryIO, end: int) -> int | None:
    """Where a second WAV or AIFF begins behind the audio that ends at `end`; None if chunks alone follow."""
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


# How a file begins whose format we take; what begins otherwise is not audio, and what begins so is damaged.
SIGNATURES = (
    (0, b"OggS", "Ogg"),
    (0, b"\x1aE\xdf\xa3", "Matroska"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "ASF"),
    (0, b"fLaC", "FLAC"),
    (8, b"WAVE", "WAVE"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"TTA1", "TTA"),
    (8, b"AIFF", "AIFF"),
    (8, b"AIFC", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b".snd", "AU"),
    (0, b"ID3", "an ID3 tag"),
    (0, b"DSD ", "DSF"),
    (0, b"#!AMR", "AMR"),
    (0, b"tBaK", "TAK"),
)


def why_unreadable(file: BinaryIO) -> tuple[Kind, str]:
    """What is wrong with a file that no decoder opens, by its first bytes."""
    size = file.seek(0, 2)
    file.seek(0)
    magic = file.read(16)
    if magic[4:8] == b"ftyp":
        names = set()
        for name, _, end in boxes(file, 0, size):
            if end > size:
                reason = f"its box {name.decode('latin-1')} ends at byte {end}; the object has {size}"
                return Kind.TRUNCATED, reason
            names.add(name)
        if b"moov" not in names:
            return Kind.TRUNCATED, "an MP4 without the index that stands at its end"
        return Kind.BAD_HEADER, "an MP4 whose index no decoder understands"
    for offset, signature, format_name in SIGNATURES:
        if magic[offset : offset + len(signature)] == signature:
            return Kind.BAD_HEADER, f"it begins as {format_name}, but no decoder understands its header"
    return Kind.NOT_AUDIO, "no decoder knows these bytes"
