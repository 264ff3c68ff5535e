"""A Matroska file whose blocks hold several packets each (laces), written byte by byte (RFC 9559)."""

import io
import struct

import av
import numpy as np

from tests.sounds import muxed

LACED = 8  # packets in a block
SEGMENT = bytes.fromhex("18538067")
CLUSTER = bytes.fromhex("1f43b675")


def element(code: str, content: bytes) -> bytes:
    """An EBML element with its size in eight bytes."""
    return bytes.fromhex(code) + (1 << 56 | len(content)).to_bytes(8, "big") + content


def number(code: str, value: int) -> bytes:
    return element(code, value.to_bytes(8, "big"))


def laced_alac(samples: np.ndarray, rate: int, start_s: int = 0) -> bytes:
    """`samples`, (n, 2), as ALAC from second `start_s` on; of a block, only the first packet is timed."""
    with av.open(io.BytesIO(muxed(samples, rate, "matroska", "alac"))) as container:
        stream = container.streams.audio[0]
        private = bytes(stream.codec_context.extradata or b"")[12:]  # without the head of an MP4 box
        packets = [(packet.pts, bytes(packet)) for packet in container.demux(stream) if packet.size]
    audio = element("b5", struct.pack(">d", rate)) + number("9f", 2) + number("6264", 16)
    track = [number("d7", 1), number("73c5", 1), number("83", 2), number("9c", 1), element("86", b"A_ALAC")]
    blocks = [packets[at : at + LACED] for at in range(0, len(packets), LACED)]
    clusters = b"".join(
        element(
            CLUSTER.hex(),
            number("e7", 1_000 * start_s + block[0][0])
            + element("a3", laced_block([data for _, data in block])),
        )
        for block in blocks
    )
    info = number("2ad7b1", 1_000_000) + element(
        "4489", struct.pack(">d", 1_000 * (start_s + len(samples) / rate))
    )
    segment = [
        element("1549a966", info),
        element(
            "1654ae6b", element("ae", b"".join([*track, element("63a2", private), element("e1", audio)]))
        ),
        clusters,
    ]
    head = element("1a45dfa3", element("4282", b"matroska"))
    return head + element(SEGMENT.hex(), b"".join(segment))


def laced_block(packets: list[bytes]) -> bytes:
    """A SimpleBlock of track 1 with the sizes of all packets but the last as Xiph laces."""
    sizes = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets[:-1])
    return b"\x81\0\0\x82" + bytes([len(packets) - 1]) + sizes + b"".join(packets)
