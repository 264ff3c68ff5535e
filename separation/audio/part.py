"""A part of an open file, as a file."""

import io
import os
from typing import BinaryIO


def part(file: BinaryIO, begin: int, end: int) -> BinaryIO:
    """Bytes [begin, end) of `file`. The parts of a file share its position, but need not be read in turn."""
    return io.BufferedReader(_Part(file, begin, end))


def with_zeros(file: BinaryIO, begin: int, end: int) -> BinaryIO:
    """`file` as if its bytes [begin, end) were zero."""
    return io.BufferedReader(_Part(file, 0, file.seek(0, os.SEEK_END), range(begin, end)))


class _Part(io.RawIOBase):
    def __init__(self, file: BinaryIO, begin: int, end: int, zeros: range = range(0)):
        self._file, self._begin, self._end, self._zeros = file, begin, end, zeros
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end - self._begin}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives nothing else
        self._file.seek(self._begin + self._position)
        data = self._file.read(max(0, min(len(buffer), self._end - self._begin - self._position)))
        buffer[: len(data)] = data
        for at in range(
            max(self._zeros.start, self._position), min(self._zeros.stop, self._position + len(data))
        ):
            buffer[at - self._position] = 0
        self._position += len(data)
        return len(data)
