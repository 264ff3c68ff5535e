"""Compressed sound in the samples of a lossless file, as in rips of DTS-CDs: decoded, it is no noise.

A player sends such samples to a receiver untouched. Nothing in the file's header tells them from music, but
their bytes, as 16-bit little-endian samples, hold the synchronisation words of the compressed frames.
"""

import io
import os
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

import numpy as np

from separation.audio.decoders import Decoder
from separation.audio.decoders.ffmpeg_container import LOSSLESS
from separation.errors import ErrorKind, TrackError

SEARCHED = 1 << 18  # bytes that are searched, from the first sample that is not zero
LEADING_SILENCE_S = 30
FRAMES = 3  # in a row, at the distance that they should have

# ffmpeg's name of the stream -> its synchronisation words
SYNC = {
    "spdif": re.compile(rb"\x72\xf8\x1f\x4e"),  # IEC 61937, with AC-3, DTS or MPEG in it
    "dts": re.compile(
        rb"\xff\x1f\x00\xe8[\xf0-\xff]\x07|\x1f\xff\xe8\x00\x07[\xf0-\xff]"  # 14 bits of each sample
        rb"|\xfe\x7f\x01\x80.[\xfc-\xff]|\x7f\xfe\x80\x01[\xfc-\xff]",  # 16 bits
        re.DOTALL,
    ),
    "ac3": re.compile(rb"\x0b\x77..([\x00-\x25\x40-\x65\x80-\xa5])[\x00-\x47]", re.DOTALL),
}
DOP_MARKS = b"\x05\xfa" * 500  # in turn, above 16 bits of DSD
AC3_KBITS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
AC3_RATES = (48_000, 44_100, 32_000)


def find_bitstream(decoder: Decoder, uri: str) -> str | None:
    """ffmpeg's name of the compressed stream in the samples of `decoder`; None for music.

    Raises `TrackError(UNSUPPORTED)` for one that ffmpeg cannot take from samples.
    """
    if not _is_exact(decoder.codec):
        return None
    data = b""
    for block in decoder.samples(0, LEADING_SILENCE_S * decoder.rate):
        if data or block.any():
            data += _to_bytes(block)
        if len(data) >= SEARCHED:
            break
    if _is_dsd(data[1 :: 2 * decoder.channels]):
        raise TrackError(uri, ErrorKind.UNSUPPORTED, "DSD in the samples of a PCM file (DoP)")
    return next((name for name, sync in SYNC.items() if _has_frames(name, [*sync.finditer(data)])), None)


def bitstream_file(decoder: Decoder) -> BinaryIO:
    """The samples of `decoder` as a file of 16-bit little-endian samples."""
    return io.BufferedReader(_SampleBytes(decoder))


def _is_exact(codec: str) -> bool:
    return codec in LOSSLESS or codec.startswith("pcm_s") or codec.endswith((" pcm_16", " pcm_24", " pcm_32"))


def _to_bytes(block: np.ndarray) -> bytes:
    """float32 (channels, n) -> bytes of 16-bit samples; of wider ones, their highest 16 bits."""
    return np.floor(block.T * np.float32(32_768)).astype("<i2").tobytes()


def _is_dsd(highest: bytes) -> bool:
    """Whether the highest bytes of a channel's samples are the marks of DSD over PCM."""
    return len(highest) >= len(DOP_MARKS) and highest[: len(DOP_MARKS)] in (DOP_MARKS, DOP_MARKS[::-1])


def _has_frames(name: str, syncs: list[re.Match[bytes]]) -> bool:
    in_a_row = 0
    for sync, following in pairwise(syncs):
        distance = following.start() - sync.start()
        in_a_row = in_a_row + 1 if name != "ac3" or distance == _ac3_bytes(sync[1][0]) else 0
        if in_a_row == FRAMES:
            return True
    return False


def _ac3_bytes(code: int) -> int:
    """The size of an AC-3 frame of 1,536 samples, from the byte with its rate and size codes."""
    rate, index = AC3_RATES[code >> 6], code & 0x3F
    words = AC3_KBITS[index // 2] * 96_000 // rate
    return 2 * (words + (index & 1 if rate == 44_100 else 0))


class _SampleBytes(io.RawIOBase):
    """Reads forward, and from the start again after a step back."""

    def __init__(self, decoder: Decoder):
        self._decoder = decoder
        self._size = (decoder.declared_samples or 0) * decoder.channels * 2
        self._position = 0
        self._blocks: Iterator[np.ndarray] = iter(())
        self._held, self._held_at = b"", -1  # the block last decoded, and its offset

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives nothing else
        if self._held_at < 0 or self._position < self._held_at:
            self._blocks, self._held, self._held_at = self._decoder.samples(0, None), b"", 0
        while self._position >= self._held_at + len(self._held):
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._held_at, self._held = self._held_at + len(self._held), _to_bytes(block)
        data = self._held[self._position - self._held_at :][: len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
