"""A case of the corpus, and what its files are made of."""

import struct
from dataclasses import dataclass

import numpy as np

from separation.errors import ErrorKind, WarningKind
from tests.sounds import encoded

SECONDS = 2.0
RATE = 44_100
# Format -> where its header has the size of the audio: bytes to find, offset from them, layout, bytes
# counted besides.
AUDIO_SIZES = {
    "WAV": (b"data", 4, "<I", 0),
    "RF64": (b"ds64", 16, "<Q", 0),
    "W64": (b"data\xf3\xac", 16, "<Q", 24),
    "AIFF": (b"SSND", 4, ">I", 8),
    "AU": (b".snd", 8, ">I", 0),
    "CAF": (b"data", 4, ">q", 4),
}


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    kind: ErrorKind | None = None  # of the error; None if the track is decoded
    seconds: float = SECONDS
    warnings: tuple[WarningKind, ...] = ()


def music(rate: int = RATE, channels: int = 2, seconds: float = SECONDS) -> np.ndarray:
    """float32 (samples, channels): one tone per channel."""
    t = np.arange(int(seconds * rate)) / rate
    voices = [np.sin(2 * np.pi * (300 + 70 * channel) * t) for channel in range(channels)]
    return np.stack(voices, axis=1).astype(np.float32) / 3


def mp3(samples: np.ndarray | None = None, **more: object) -> bytes:
    return encoded(music() if samples is None else samples, RATE, "MP3", "MPEG_LAYER_III", **more)


def id3(size: int) -> bytes:
    return b"ID3\4\0\0" + bytes((size >> shift) & 127 for shift in (21, 14, 7, 0)) + bytes(size)


def ape_tag(cover_bytes: int) -> bytes:
    """An APEv2 tag with a cover picture of noise."""
    cover = np.random.default_rng(3).bytes(cover_bytes)
    item = struct.pack("<II", cover_bytes, 2) + b"Cover Art (Front)\0" + cover
    header, footer = (
        b"APETAGEX" + struct.pack("<IIII", 2_000, len(item) + 32, 1, flags) + bytes(8)
        for flags in (0xA000_0000, 0x8000_0000)
    )
    return header + item + footer


def with_audio_size(data: bytes, form: str, size: int) -> bytes:
    """`data`, whose header declares `size` bytes of samples."""
    name, offset, layout, besides = AUDIO_SIZES[form]
    at = data.index(name) + offset
    field = struct.pack(layout, size + besides)
    return data[:at] + field + data[at + len(field) :]
