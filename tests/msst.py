"""What MSST makes of a whole track: `demix` in msst/utils/model_utils.py (0.1.0), and the level around it.

Written after it in numpy, because that package needs an older torch than this one. It was compared with the
original once: docs/decisions.md, "MSST's windows, edges and level".
"""

from collections.abc import Callable

import numpy as np

Network = Callable[[np.ndarray], np.ndarray]  # (1, channels, chunk_size) -> (1, rows, channels, chunk_size)


def demix(mix: np.ndarray, network: Network, chunk_size: int, num_overlap: int) -> np.ndarray:
    """float32 (channels, samples) -> (rows, channels, samples), with a batch size of 1."""
    step, fade = chunk_size // num_overlap, chunk_size // 10
    border, length = chunk_size - step, mix.shape[1]
    bordered = length > 2 * border and border > 0
    if bordered:
        mix = np.pad(mix, ((0, 0), (border, border)), mode="reflect")
    window = np.ones(chunk_size, np.float32)
    window[chunk_size - fade :] = np.linspace(1, 0, fade, dtype=np.float32)
    window[:fade] = np.linspace(0, 1, fade, dtype=np.float32)
    result, counter = None, np.zeros(mix.shape[1], np.float32)
    start = 0
    while start < mix.shape[1]:
        part = mix[:, start : start + chunk_size]
        samples = part.shape[1]
        mode = "reflect" if samples > chunk_size // 2 else "constant"
        part = np.pad(part, ((0, 0), (0, chunk_size - samples)), mode=mode)  # type: ignore[call-overload]
        rows = network(part[None])[0]
        if result is None:
            result = np.zeros((len(rows), *mix.shape), np.float32)
        own = window.copy()
        if start == 0:
            own[:fade] = 1
        elif start + step >= mix.shape[1]:
            own[chunk_size - fade :] = 1
        result[..., start : start + samples] += rows[..., :samples] * own[:samples]
        counter[start : start + samples] += own[:samples]
        start += step
    assert result is not None
    with np.errstate(invalid="ignore"):
        stems = np.nan_to_num(result / counter, nan=0.0)
    return stems[..., border:-border] if bordered else stems


def separate(
    mix: np.ndarray, network: Network, chunk_size: int, num_overlap: int, normalize: bool
) -> np.ndarray:
    """`demix` with the level that `inference.normalize` takes off and restores: msst/_inference.py."""
    if not normalize:
        return demix(mix, network, chunk_size, num_overlap)
    mono = mix.mean(0)
    mean, std = mono.mean(), mono.std()
    if not np.isfinite(std) or std <= np.finfo(np.float32).eps:
        std = np.float32(1.0)
    return demix((mix - mean) / std, network, chunk_size, num_overlap) * std + mean
