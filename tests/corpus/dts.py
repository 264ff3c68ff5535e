"""DTS core frames of silence, written bit by bit (ETSI TS 102 114, 5.3 to 5.5), as DTS-CDs hold them."""

import numpy as np

FRAME_SAMPLES = 512
FRAME_BYTES = 2_048  # as many as 512 stereo samples of 16 bits take
WORDS = FRAME_BYTES // 2


def frame(words: int = WORDS) -> bytes:
    """One frame of two silent channels at 44.1 kHz in `words` 16-bit words, most significant byte first."""
    fields = [
        (0x7FFE8001, 32),
        (1, 1),  # a whole frame
        (31, 5),
        (0, 1),  # no checksum
        (FRAME_SAMPLES // 32 - 1, 7),
        (2 * words - 1, 14),
        (2, 6),  # left and right
        (8, 4),  # 44.1 kHz
        (22, 5),  # bit rate
        (0, 5 + 3 + 1 + 1 + 2),  # no flags, extension, LFE
        (1, 1),  # predictor history
        (0, 1),  # filter
        (7, 4),  # version
        (0, 2),
        (0, 3),  # a source of 16 bits
        (0, 2 + 4),
        (0, 4),  # one subframe
        (1, 3),  # two channels
        *2 * [(30, 5)],  # 32 subbands
        *2 * [(31, 5)],  # none by vector quantisation
        *2 * [(0, 3)],  # no joint intensity
        *2 * [(0, 2)],
        *2 * [(6, 3)],  # scale factors of 7 bits
        *2 * [(6, 3)],  # bit allocation of 5 bits
        *2 * [(1, 1)],  # no Huffman codes in any of the ten quantizers
        *8 * [(3, 2)],
        *10 * [(7, 3)],
        (1, 2),  # two subsubframes of 8 * 32 samples
        (0, 3),
        (0, 64),  # no prediction
        (0, 2 * 32 * 5),  # not one bit for any subband
        (0xFFFF, 16),
    ]
    bits = "".join(f"{value:0{width}b}" for value, width in fields).ljust(16 * words, "0")
    return int(bits, 2).to_bytes(2 * words, "big")


def samples(frames: int, bits: int = 16) -> np.ndarray:
    """The frames in 14 or 16 bits of each sample of a stereo file: int16 (samples, 2)."""
    words = WORDS * bits // 16
    stream = "".join(f"{byte:08b}" for byte in frame(words))
    values = [int(stream[at : at + bits], 2) for at in range(0, len(stream), bits)]
    signed = [value - (1 << bits) if value >> (bits - 1) else value for value in values]
    return np.tile(np.array(signed, np.int16).reshape(-1, 2), (frames, 1))
