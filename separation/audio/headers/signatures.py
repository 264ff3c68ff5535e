"""Why no decoder opens a file, judged by its first bytes."""

import re
from typing import BinaryIO

from separation.audio.headers.mp4 import boxes
from separation.audio.headers.tags import id3_end
from separation.errors import ErrorKind

# Offset, bytes, name. A file that begins like a supported format is damaged.
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
    (0, b"FRM8", "DSDIFF"),
    (0, b"#!AMR", "AMR"),
    (0, b"tBaK", "TAK"),
)
# Audio that no decoder here reads, by its first bytes.
UNSUPPORTED = {
    b"ajkg": "Shorten",
    b"OFR ": "OptimFROG",
    b".ra\xfd": "RealAudio",
    b".RMF": "RealMedia",
}
UNSUPPORTED_ELSEWHERE = (  # offset, bytes, name
    (8, b"AVI ", "AVI"),
    (8, b"CDXA", "a Video CD"),
    (0, b"FLV\1", "Flash Video"),
    (0, b"\0\0\1\xba", "an MPEG program stream"),
    (0, b"Creative Voice File", "VOC"),
    (0, b"twin97012000", "VQF"),
)
TS_PACKETS = (0, 188, 376)  # bytes at which an MPEG transport stream has its synchronisation byte
ADX = re.compile(rb"\x80\0(..)", re.DOTALL)  # then the offset of (c)CRI, plus 2
FREE_FORMAT = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x00-\x0b]")  # an MP3 frame without a bit rate


def why_unreadable(file: BinaryIO) -> tuple[ErrorKind, str]:
    """The kind of error, and a sentence, for a file that no decoder opens."""
    size = file.seek(0, 2)
    file.seek(0)
    magic = file.read(16)
    if magic[:4] in UNSUPPORTED:
        return ErrorKind.UNSUPPORTED, f"{UNSUPPORTED[magic[:4]]}, which no decoder here reads"
    if (container := _unsupported_container(file)) is not None:
        return ErrorKind.UNSUPPORTED, f"{container}, which no decoder here reads"
    file.seek(id3_end(file))
    if FREE_FORMAT.match(file.read(3)):
        return ErrorKind.UNSUPPORTED, "a free-format MP3, which no decoder here reads"
    if magic[4:8] == b"ftyp":
        names = set()
        for name, _, end in boxes(file, 0, size):
            if end > size:
                reason = f"its box {name.decode('latin-1')} ends at byte {end}; the object has {size}"
                return ErrorKind.TRUNCATED, reason
            names.add(name)
        if b"moov" not in names:
            return ErrorKind.TRUNCATED, "an MP4 without the index (moov) that is written last"
        return ErrorKind.BAD_HEADER, "an MP4 whose index no decoder understands"
    for offset, signature, format_name in SIGNATURES:
        if magic[offset : offset + len(signature)] == signature:
            return ErrorKind.BAD_HEADER, f"it begins as {format_name}, but no decoder understands its header"
    return ErrorKind.NOT_AUDIO, "no decoder knows these bytes"


def _unsupported_container(file: BinaryIO) -> str | None:
    """The name of a format that no decoder here reads and that takes more than four bytes to recognise."""
    file.seek(0)
    data = file.read(1_024)
    for offset, signature, name in UNSUPPORTED_ELSEWHERE:
        if data[offset : offset + len(signature)] == signature:
            return name
    if len(data) > TS_PACKETS[-1] and all(data[at] == 0x47 for at in TS_PACKETS):
        return "an MPEG transport stream"
    if (adx := ADX.match(data)) and data[int.from_bytes(adx[1], "big") - 2 :][:6] == b"(c)CRI":
        return "ADX"
    return None
