"""MP3: the count of frames in the first one."""

import re
from typing import BinaryIO

from separation.audio.headers.tags import id3_end


def mp3_frames(file: BinaryIO) -> int | None:
    """The number of frames according to an MP3's Xing, Info or VBRI header; None if it has none.

    ffmpeg's own figure becomes a guess from the bit rate when a large tag follows the audio.
    """
    file.seek(id3_end(file))
    first_frame = file.read(2048)  # none is longer than 1,441 bytes
    found = re.search(
        rb"(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f](....)|VBRI.{10}(....)", first_frame, re.DOTALL
    )
    return int.from_bytes(found[1] or found[2], "big") if found else None
