"""WAV files identical to demucs's, byte for byte, and RF64 above 4 GiB.

libsndfile is not used: its float files contain the time of writing, and it rounds to the nearest 16-bit value
where demucs (`_pcm_bytes` in demucs/audio.py, 4.1.0) scales by 32,767 and truncates towards zero.
"""

import struct

import numpy as np

from separation.contract import CHANNELS

LIMIT = 0xFFFF_FFFF  # the largest size that a RIFF header can state; in RF64, the placeholder for it


def header(frames: int, bits: int, is_float: bool, sample_rate: int) -> bytes:
    """All bytes before the samples of a stereo file of `frames` samples per channel, at `sample_rate` Hz."""
    frame_bytes = CHANNELS * bits // 8
    data_bytes = frames * frame_bytes
    encoding = 3 if is_float else 1
    layout = struct.pack(
        "<HHIIHH", encoding, CHANNELS, sample_rate, sample_rate * frame_bytes, frame_bytes, bits
    )
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout
    if is_float:
        chunks += b"fact" + struct.pack("<II", 4, min(frames, LIMIT))
    riff_bytes = 4 + len(chunks) + 8 + data_bytes
    if riff_bytes <= LIMIT:
        return (
            b"RIFF"
            + struct.pack("<I", riff_bytes)
            + b"WAVE"
            + chunks
            + b"data"
            + struct.pack("<I", data_bytes)
        )
    sizes = b"ds64" + struct.pack("<IQQQI", 28, riff_bytes + 36, data_bytes, frames, 0)
    placeholder = struct.pack("<I", LIMIT)
    return b"RF64" + placeholder + b"WAVE" + sizes + chunks + b"data" + placeholder


def pcm(block: np.ndarray, bits: int, is_float: bool) -> bytes:
    """Samples (2, n) as interleaved little-endian bytes; floats are not clamped."""
    frames = block.T
    if is_float:
        return np.ascontiguousarray(frames, dtype="<f4").tobytes()
    integers = to_int(block, bits).T
    if bits == 16:
        return integers.astype("<i2").tobytes()
    octets = np.ascontiguousarray(integers, dtype="<i4").view(np.uint8).reshape(-1, 4)
    return octets[:, :3].tobytes()


def to_int(block: np.ndarray, bits: int) -> np.ndarray:
    """Float samples as int32 values of `bits` bits, as in demucs: clamped to +-1, scaled, truncated."""
    scaled: np.ndarray = np.clip(block, -1, 1) * np.float32(2 ** (bits - 1) - 1)
    return scaled.astype(np.int32)
