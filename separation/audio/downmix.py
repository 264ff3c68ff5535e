"""More than two channels -> two.

Gains by ITU-R BS.775 as in ffmpeg's swresample: centre and surround at -3 dB, back centre at -6 dB, no LFE;
then divided by the larger sum of gains of the two outputs, so that samples within full scale stay within it.
If the file does not name its channels, they are those that WAVE and FLAC assign to that number; more than
eight are taken as stereo pairs.
"""

import numpy as np

HALF = 2**-0.5  # -3 dB
# ffmpeg's channel name -> gains into left and right
GAINS = {
    **dict.fromkeys(("FL", "FLC", "WL", "DL"), (1.0, 0.0)),
    **dict.fromkeys(("FR", "FRC", "WR", "DR"), (0.0, 1.0)),
    **dict.fromkeys(("BL", "SL", "TFL", "TBL", "TSL", "SDL", "SSL", "BFL"), (HALF, 0.0)),
    **dict.fromkeys(("BR", "SR", "TFR", "TBR", "TSR", "SDR", "SSR", "BFR"), (0.0, HALF)),
    "FC": (HALF, HALF),
    **dict.fromkeys(("BC", "TC", "TFC", "TBC", "BFC"), (0.5, 0.5)),
    **dict.fromkeys(("LFE", "LFE2"), (0.0, 0.0)),
}
BY_COUNT = {
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


def layout(channels: int, declared: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the channels: the declared ones if all are known, else the default for the number."""
    if len(declared) == channels and all(name in GAINS for name in declared):
        return declared
    return BY_COUNT.get(channels) or tuple("FL" if index % 2 == 0 else "FR" for index in range(channels))


def gains(names: tuple[str, ...]) -> np.ndarray:
    """The gain of each channel into left and right: float32 (2, channels)."""
    matrix = np.array([GAINS[name] for name in names]).T
    return np.asarray(matrix / max(1.0, matrix.sum(axis=1).max()), dtype=np.float32)


def downmix(block: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(channels, n) -> float32 (2, n). Added channel by channel: the bits of a matrix product depend on n."""
    mixed = np.zeros((2, block.shape[1]), np.float32)
    for channel, (left, right) in zip(block, matrix.T, strict=True):
        if left:
            mixed[0] += channel * left
        if right:
            mixed[1] += channel * right
    return mixed
