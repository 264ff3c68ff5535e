"""MP4: its tree of boxes."""

import struct
from collections.abc import Iterator
from typing import BinaryIO


def inside(file: BinaryIO, begin: int, end: int, path: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    """Byte ranges (begin, end) of the content of all boxes at `path`."""
    if not path:
        yield begin, end
        return
    for name, content, after in boxes(file, begin, end):
        if name == path[0]:
            yield from inside(file, content, min(after, end), path[1:])


def boxes(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes between two byte offsets: name, first byte of the content, declared end."""
    while begin + 8 <= end:
        file.seek(begin)
        header = file.read(16)
        if len(header) < 8:
            return
        size, name = struct.unpack(">I4s", header[:8])
        content = begin + 8
        if size == 1 and len(header) == 16:
            size, content = struct.unpack(">Q", header[8:])[0], begin + 16
        elif size == 0:
            size = end - begin
        if begin + size < content:
            return
        yield name, content, begin + size
        begin += size
