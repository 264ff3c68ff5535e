"""How a pitched note is made: a table of single periods, one row per moment of the note, read at its pitch.

    row    0  ∿ bright                     harmonics' amplitudes (rows, k)  --irfft-->  table (rows, period)
           1  ∿ darker                     sample t reads row(t), column phase(t), interpolating both
           2  ∿ sine

Everything that changes within a note (a plucked string losing its treble, a filter opening) is a change
from row to row, so no recursive filter is needed and a note is a few array operations. Wavetable
synthesis: Horner, Beauchamp & Haken, "Methods for multiple wavetable synthesis" (1993).
"""

from collections.abc import Callable
from typing import overload

import numpy as np

from band.rate import RATE_HZ

ROW_RATE = 50  # rows per second: as fast as an ear follows a timbre after the attack
CEILING = 16_000  # Hz: no harmonic above it, so that vibrato and interpolation do not alias

Timbre = Callable[[float, int], np.ndarray]  # (hz, samples) -> (samples,) float32, peak about 1


@overload
def midi_to_hz(midi: float) -> float: ...
@overload
def midi_to_hz(midi: np.ndarray) -> np.ndarray: ...
def midi_to_hz(midi: float | np.ndarray) -> float | np.ndarray:
    """Equal temperament, A4 = 69 = 440 Hz."""
    return 440.0 * 2 ** ((midi - 69) / 12)


def harmonics(hz: float, most: int = 160) -> np.ndarray:
    """Numbers 1..k of the harmonics of `hz` that lie below the ceiling: (k,)."""
    return np.arange(1, max(2, min(most, int(CEILING / hz)) + 1), dtype=np.float32)


def row_times(length: int) -> np.ndarray:
    """Times of the rows of a note of `length` samples, in s: (rows, 1), from its start to its end."""
    seconds = length / RATE_HZ
    return np.linspace(0, seconds, 2 + int(seconds * ROW_RATE), dtype=np.float32)[:, None]


def to_table(amplitudes: np.ndarray, phases: np.ndarray | None = None) -> np.ndarray:
    """Amplitudes (rows, k) of harmonics 1..k -> table (rows, period + 1).

    The last column repeats the first, for interpolation. `phases`, (k,), in radians; sines by default.
    """
    rows, count = amplitudes.shape
    period = max(64, 1 << (8 * count - 1).bit_length())
    spectrum = np.zeros((rows, period // 2 + 1), np.complex64)
    rotation = np.exp(1j * (phases if phases is not None else np.full(count, -np.pi / 2)))
    spectrum[:, 1 : count + 1] = amplitudes * rotation.astype(np.complex64) * (period / 2)
    waves = np.fft.irfft(spectrum, period, axis=1)
    table: np.ndarray = np.concatenate([waves, waves[:, :1]], axis=1).astype(np.float32)
    return table


def read_table(table: np.ndarray, hz: float | np.ndarray, length: int, phase: float = 0.0) -> np.ndarray:
    """A note of `length` samples that moves through all rows of `table`, at `hz`: (length,).

    `hz` is one number or (length,); `phase` is where the first period begins, in periods.
    """
    rows, width = table.shape
    cycles: np.ndarray
    if np.ndim(hz):
        cycles = phase + np.cumsum(hz, dtype=np.float64) / RATE_HZ
    else:
        cycles = phase + np.arange(length) * (hz / RATE_HZ)
    column = (cycles - np.floor(cycles)) * (width - 1)
    left = column.astype(np.intp)
    across = (column - left).astype(np.float32)
    flat = table.ravel()
    if rows == 1:
        constant: np.ndarray = flat[left] * (1 - across) + flat[left + 1] * across
        return constant
    row = np.arange(length) * ((rows - 1.0001) / max(1, length))
    upper = row.astype(np.intp)
    down = (row - upper).astype(np.float32)
    left += upper * width
    above = flat[left]
    above += across * (flat[left + 1] - above)
    left += width
    below = flat[left]
    below += across * (flat[left + 1] - below)
    sound: np.ndarray = above + down * (below - above)
    return sound


def fade(sound: np.ndarray, attack_s: float, release_s: float) -> np.ndarray:
    """`sound` (samples,) with raised-cosine ends, in place; the two never exceed its length together."""
    length = len(sound)
    attack = max(8, min(round(attack_s * RATE_HZ), length // 2))
    release = max(8, min(round(release_s * RATE_HZ), length // 2))
    if length >= 16:
        sound[:attack] *= rise(attack)
        sound[-release:] *= rise(release)[::-1]
    return sound


def rise(length: int) -> np.ndarray:
    """From 0 to nearly 1 along half a cosine: (length,)."""
    return (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)).astype(np.float32)


def peak_to_one(sound: np.ndarray) -> np.ndarray:
    """`sound` divided by its peak, of any shape; silence stays silence."""
    return sound / max(float(np.abs(sound).max(initial=0)), 1e-9)


def add_at(canvas: np.ndarray, sound: np.ndarray, start: int, gain: float | np.ndarray = 1.0) -> None:
    """Adds `gain` times `sound`, (..., samples), to `canvas` from sample `start`; the rest is dropped."""
    begin, stop = max(0, start), min(canvas.shape[-1], start + sound.shape[-1])
    if begin < stop:
        canvas[..., begin:stop] += gain * sound[..., begin - start : stop - start]


def pan(sound: np.ndarray, position: float) -> np.ndarray:
    """Equal power: (samples,) -> (2, samples); `position` from -1, left, to 1, right."""
    angle = (position + 1) * np.pi / 4
    return np.stack([np.cos(angle) * sound, np.sin(angle) * sound]).astype(np.float32)
