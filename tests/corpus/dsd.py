"""DSD: samples of one bit, 64 times as many as on a CD, in the files of Sony (.dsf) and Philips (.dff)."""

import struct

import numpy as np

RATE = 64 * 44_100  # Hz
BLOCK = 4_096  # bytes of one channel in a .dsf


def bits(samples: np.ndarray) -> np.ndarray:
    """`samples` (n, channels) at 44.1 kHz as bits (64 * n, channels): first-order sigma-delta modulation."""
    ones = np.floor(np.cumsum((np.repeat(samples.astype(np.float64), 64, axis=0) + 1) / 2, axis=0))
    return np.diff(ones, axis=0, prepend=0).astype(np.uint8)


def dsf(samples: np.ndarray) -> bytes:
    stream = bits(samples)
    octets = np.packbits(stream, axis=0, bitorder="little")
    octets = np.pad(octets, ((0, -len(octets) % BLOCK), (0, 0)))
    blocks = octets.reshape(-1, BLOCK, octets.shape[1]).transpose(0, 2, 1).tobytes()
    count, channels = stream.shape
    form = struct.pack("<IIIIIIQII", 1, 0, channels, channels, RATE, 1, count, BLOCK, 0)
    body = b"fmt " + struct.pack("<Q", 12 + len(form)) + form
    body += b"data" + struct.pack("<Q", 12 + len(blocks)) + blocks
    return b"DSD " + struct.pack("<QQQ", 28, 28 + len(body), 0) + body


def dff(samples: np.ndarray) -> bytes:
    octets = np.packbits(bits(samples), axis=0)
    names = b"SLFTSRGT"[: 4 * octets.shape[1]]
    properties = [
        chunk(b"FS  ", struct.pack(">I", RATE)),
        chunk(b"CHNL", struct.pack(">H", octets.shape[1]) + names),
        chunk(b"CMPR", b"DSD \x0enot compressed\0"),
    ]
    version = chunk(b"FVER", b"\1\5\0\0")
    sound = chunk(b"PROP", b"SND " + b"".join(properties))
    return chunk(b"FRM8", b"DSD " + version + sound + chunk(b"DSD ", octets.tobytes()))


def over_pcm(samples: np.ndarray) -> np.ndarray:
    """DoP: int32 samples of 24 bits at 176.4 kHz, each a mark and 16 bits of DSD."""
    pairs = np.packbits(bits(samples), axis=0).reshape(-1, 2, samples.shape[1])
    marks = np.where(np.arange(len(pairs)) % 2, 0xFA, 0x05)[:, np.newaxis]
    octets = np.stack(
        [np.zeros_like(pairs[:, 0]), pairs[:, 1], pairs[:, 0], marks.repeat(pairs.shape[2], 1)], 2
    )
    return np.ascontiguousarray(octets.astype(np.uint8)).view("<i4")[:, :, 0]


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack(">Q", len(content)) + content
