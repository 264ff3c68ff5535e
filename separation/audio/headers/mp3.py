"""MP3: the length that its first frame states."""

import re
from typing import BinaryIO, NamedTuple

from separation.audio.headers.tags import id3_end

FRAMES_COUNTED = rb"(?:Xing|Info)...([\x01\x03\x05\x07\x09\x0b\x0d\x0f])(....)|VBRI.{10}(....)"
OPTIONAL_FIELDS = ((1, 4), (2, 4), (4, 100), (8, 4))  # of Xing: flag, bytes
ENCODERS = (b"LAME", b"Lavf", b"Lavc")  # whose gaps ffmpeg removes
GAPS = slice(21, 24)  # behind the fields: samples that the encoder added before and after, 12 bits each
DECODER_DELAY = 529  # samples: the last ones of the last frame never come out of a decoder


class Mp3Length(NamedTuple):
    """`is_exact`: the header also says what the encoder added, so a whole file has this many samples."""

    samples: int
    is_exact: bool


def mp3_length(file: BinaryIO, rate: int) -> Mp3Length | None:
    """The samples at `rate` Hz according to an MP3's Xing, Info or VBRI header; None if it has none.

    Without those that the encoder added and ffmpeg removes: 4,095 at most on either side, which at 8 kHz is a
    second. ffmpeg's own figure becomes a guess from the bit rate when a large tag follows the audio.
    """
    file.seek(id3_end(file))
    first_frame = file.read(2048)  # none is longer than 1,441 bytes
    found = re.search(FRAMES_COUNTED, first_frame, re.DOTALL)
    if found is None:
        return None
    samples = int.from_bytes(found[2] or found[3], "big") * (1_152 if rate >= 32_000 else 576)
    is_exact = False
    if found[1]:
        fields = sum(size for flag, size in OPTIONAL_FIELDS if found[1][0] & flag)
        encoder = first_frame[found.start() + 8 + fields :]
        if encoder.startswith(ENCODERS):
            gaps = int.from_bytes(encoder[GAPS], "big")
            samples -= (gaps >> 12) + max(DECODER_DELAY, gaps & 0xFFF)
            is_exact = True
    return Mp3Length(max(0, samples), is_exact)
