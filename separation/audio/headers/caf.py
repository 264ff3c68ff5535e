"""CAF: the padding of the last packet that its packet table states."""

import struct
from typing import BinaryIO

from separation.audio.headers.riff import LAYOUTS, chunk_at, end_of

MAGIC = b"caff"
CODEC, PACKET_SAMPLES = slice(8, 12), slice(20, 24)  # of the chunk desc
PADDING_AT = 20  # of the chunk pakt, behind its numbers of packets, samples and the encoder's delay
MOST_CHUNKS = 1_000


def whole_packet_of_padding(file: BinaryIO) -> int | None:
    """Byte offset of an ALAC file's number of padding samples if that is a whole packet; else None.

    libsndfile writes it where the last packet is full. It means nothing there, and ffmpeg refuses the file.
    """
    file.seek(0)
    if file.read(4) != MAGIC:
        return None
    layout, position, packet = LAYOUTS[MAGIC], LAYOUTS[MAGIC].first_chunk, 0
    for _ in range(MOST_CHUNKS):
        chunk = chunk_at(file, layout, position)
        end = None if chunk is None else end_of(chunk, layout, chunk.size)
        if chunk is None or end is None:
            return None
        fields = file.read(PADDING_AT + 4)
        if chunk.name == b"desc" and fields[CODEC] == b"alac":
            packet = int.from_bytes(fields[PACKET_SAMPLES], "big")
        if chunk.name == b"pakt" and len(fields) == PADDING_AT + 4:
            (padding,) = struct.unpack(">i", fields[PADDING_AT:])
            return chunk.content + PADDING_AT if padding == packet > 0 else None
        position = end
    return None
