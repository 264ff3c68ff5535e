"""What every stem is processed with: tone control, room, a little saturation, and one master gain for all."""

import numpy as np

from band.rate import RATE_HZ

BLOCK = 64  # samples: the resolution of the limiter's gain
RINGING = RATE_HZ // 8  # samples: a high-pass at 28 Hz has died down to -180 dB
LONGEST_BLOCK = 400_000  # samples: longer stems are filtered in blocks
LOOKAHEAD = 40  # blocks: 58 ms, slow enough that the gain does not distort bass


def fast_size(length: int) -> int:
    """The least 2^a, 3 * 2^a or 5 * 2^a at or above `length`: sizes at which an FFT is quick."""
    return min(odd << max(0, (-(-length // odd) - 1).bit_length()) for odd in (1, 3, 5))


def draw_impulse(rng: np.random.Generator) -> np.ndarray:
    """A room's impulse response, (2, samples) of energy 1 each: early reflections, then decaying noise.

    The treble decays faster. Noise as late reverberation: Moorer, "About this reverberation business" (1979).
    """
    reverberation_s = float(rng.choice((0.3, 0.6, 1.0, 1.6)) * rng.uniform(0.8, 1.2))  # to -60 dB
    length = round(min(reverberation_s, 1.5) * RATE_HZ)
    t = np.arange(length, dtype=np.float32) / RATE_HZ
    impulse = np.zeros((2, length), np.float32)
    for low, high, decay in ((0, 800, 1.0), (800, 4000, 0.75), (4000, 12000, 0.4)):
        spectrum = np.fft.rfft(rng.standard_normal((2, length), dtype=np.float32))
        frequency = np.fft.rfftfreq(length, 1 / RATE_HZ)
        spectrum *= (frequency >= low) & (frequency < high)
        band = np.fft.irfft(spectrum, length).astype(np.float32)
        impulse += band * np.exp(-6.9 * t / (reverberation_s * decay))
    impulse *= np.minimum(1, t / 0.02)  # the late part builds up
    for _ in range(8):
        side, at = int(rng.integers(2)), int(rng.uniform(0.004, 0.04) * RATE_HZ)
        impulse[side, at] += rng.uniform(-1, 1) * 4
    impulse *= np.minimum(1, (length - np.arange(length, dtype=np.float32)) / 2000)
    response: np.ndarray = impulse / np.sqrt((impulse**2).sum(1, keepdims=True))
    return response


def tone_curve(size: int, low_hz: float, tilt_db: float) -> np.ndarray:
    """Gain for each bin of an FFT of `size`, (size // 2 + 1,), of zero phase.

    A second-order high-pass at `low_hz`, so that no DC is left, and a treble shelf of `tilt_db` above 3 kHz.
    """
    hz = np.fft.rfftfreq(size, 1 / RATE_HZ).astype(np.float32)
    squared = (hz / low_hz) ** 2
    shelf = 1 + (10 ** (tilt_db / 20) - 1) * hz**2 / (hz**2 + 3000.0**2)
    gain: np.ndarray = (squared / (1 + squared) * shelf).astype(np.float32)
    return gain


def add_room(stem: np.ndarray, impulse: np.ndarray, wet: float, low_hz: float, tilt_db: float) -> np.ndarray:
    """`stem` (2, samples) through `tone_curve`, plus its mono sum in the room at `wet` times its level.

    Both are one multiplication of the spectrum, in long zero-padded blocks that are added where they overlap:
    an FFT of a whole four-minute song costs five times as much for each sample.
    """
    length = stem.shape[1]
    before, after = RINGING, RINGING + impulse.shape[1]
    size = fast_size(min(length, LONGEST_BLOCK) + before + after)
    curve = tone_curve(size, low_hz, tilt_db)
    room = np.float32(wet) * np.fft.rfft(impulse, size)
    canvas = np.zeros((2, length + 2 * size), np.float32)
    for start in range(0, length, size - before - after):
        spectrum = np.fft.rfft(stem[:, start : start + size - before - after], size) * curve
        spectrum += room * spectrum.mean(0)
        # A filter of zero phase rings backwards too: that part has wrapped around to the end.
        canvas[:, start : start + size] += np.roll(np.fft.irfft(spectrum, size), before, axis=1)
    return canvas[:, before : before + length]


def saturate(stem: np.ndarray, drive: float) -> np.ndarray:
    """tanh(drive * stem) / drive: quiet sounds keep their level. Any shape."""
    return np.tanh(drive * stem) / np.float32(drive)


def loudness(stem: np.ndarray) -> float:
    """RMS of `stem` (2, samples) over the blocks of 0.1 s within 30 dB of the loudest; 0 without samples."""
    block = RATE_HZ // 10
    whole = stem[:, : stem.shape[1] // block * block] if stem.shape[1] >= block else stem
    energy = (whole.reshape(2, -1, min(block, whole.shape[1])) ** 2).mean((0, 2))
    return float(np.sqrt(energy[energy >= energy.max(initial=0) / 1000].mean())) if energy.size else 0.0


def master_gain(mix: np.ndarray, ceiling: float) -> np.ndarray:
    """A gain for each sample, (samples,), at most 1, under which |mix| stays at or below `ceiling`.

    One gain for all stems is linear, so they still sum to the mix; a saturated mix would not be a sum.
    A running minimum of what each block needs, then a running mean of the same width: the mean only
    ever averages gains that are low enough for the block in its middle.
    """
    length = mix.shape[1]
    blocks = -(-length // BLOCK)
    padded = np.zeros(blocks * BLOCK, np.float32)
    padded[:length] = np.abs(mix).max(0)
    need = np.minimum(1, ceiling / np.maximum(padded.reshape(blocks, BLOCK).max(1), 1e-9))
    # One block wider at each side than the mean, as the gain is interpolated between block centres.
    half = LOOKAHEAD // 2
    reach = np.pad(need, 2 * half + 1, constant_values=1.0)
    lowest = np.lib.stride_tricks.sliding_window_view(reach, 2 * half + 3).min(1)
    smooth = np.convolve(lowest, np.ones(2 * half + 1) / (2 * half + 1), mode="valid")
    at = (np.arange(length) + 0.5) / BLOCK - 0.5
    return np.interp(at, np.arange(blocks), smooth).astype(np.float32)
