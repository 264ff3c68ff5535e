"""How well a track was separated: SDR as museval computes it, and SI-SDR, in one pass over its blocks.

museval's BSS eval v4 splits an estimate into the true source s, spatial error, interference and artifacts,
by projecting it on the references delayed by up to 511 samples. In its version for images, the one used in
publications on separation, the numerator of SDR is s itself, and the three errors add up to s minus the
estimate whatever the projections are: the filters decide SIR, ISR and SAR, and cancel in SDR. So SDR is the
energy of s over that of the difference, second by second. What remains of museval is which seconds count:

- frames of 1 s without overlap; an incomplete last frame counts only if it is the whole track;
- a frame counts for no stem if any stem's reference or estimate is silent in it, by the sum of the channels;
- a track's score is the median over its frames, a data set's the median over its tracks.

Le Roux et al., "SDR - half-baked or well done?" (2019), for SI-SDR: over the whole track, one scale for
both channels, the mean not removed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from separation.blocks import reblock
from separation.errors import SeparationError


class LengthsDiffer(SeparationError):
    """An estimate that is not as long as its reference; museval would pad or cut it."""

    def __init__(self, reference: int, estimate: int):
        super().__init__(reference, estimate)
        self.reference, self.estimate = reference, estimate

    def __str__(self) -> str:
        return f"{self.estimate} samples; the reference has {self.reference}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One stem's estimate against its reference; energies are sums over both channels, arrays (frames,)."""

    samples: int
    energy: np.ndarray  # float64, of the reference
    error: np.ndarray  # float64, the energy of the difference
    silent: np.ndarray  # bool: the reference or the estimate is
    # Over the whole track, incomplete frame included: reference with itself, with the estimate, and the
    # estimate with itself.
    products: tuple[float, float, float]


def compare(
    reference: Iterable[np.ndarray],
    estimate: Iterable[np.ndarray],
    sample_rate: int,
    gain: float = 1.0,
    slack: int = 0,
) -> Comparison:
    """Compares blocks, float32 (2, n) of any n, read once and in parallel; `gain` multiplies the estimate.

    `sample_rate`, in Hz, is that of both: a frame is a second, museval's window and hop. The estimate may be
    `slack` samples longer or shorter, as one that was resampled is. Raises `LengthsDiffer` after both have
    been read.
    """
    frames: list[tuple[float, float, bool]] = []
    of_reference = cross = of_estimate = 0.0
    lengths = [0, 0]
    for true, guess in zip_longest(reblock(reference, sample_rate), reblock(estimate, sample_rate)):
        for side, block in enumerate((true, guess)):
            lengths[side] += 0 if block is None else block.shape[1]
        if true is None or abs(lengths[0] - lengths[1]) > slack:
            continue
        guess = _fitted(guess, true)
        silent = not (true.sum(axis=0).any() and guess.sum(axis=0).any())
        true, guess = true.astype(np.float64), gain * guess.astype(np.float64)
        energy, error = product(true, true), product(true - guess, true - guess)
        of_reference += energy
        cross += product(true, guess)
        of_estimate += product(guess, guess)
        if true.shape[1] == sample_rate or not frames:
            frames.append((energy, error, silent))
    if abs(lengths[0] - lengths[1]) > slack:
        raise LengthsDiffer(*lengths)
    energies, errors, silence = np.array(frames, np.float64).reshape(-1, 3).T
    products = (of_reference, cross, of_estimate)
    return Comparison(lengths[0], energies, errors, silence.astype(bool), products)


def _fitted(guess: np.ndarray | None, true: np.ndarray) -> np.ndarray:
    """`guess` as long as `true`: cut, or with zeros at its end; None is nothing but zeros."""
    if guess is None:
        return np.zeros_like(true)
    missing = max(0, true.shape[1] - guess.shape[1])
    return np.pad(guess, ((0, 0), (0, missing)))[:, : true.shape[1]]


def product(one: np.ndarray, other: np.ndarray) -> float:
    """The inner product, float64, over both channels."""
    return float(np.vdot(one, other))


def frame_sdr(stems: Mapping[str, Comparison]) -> dict[str, np.ndarray]:
    """Each stem's SDR in dB per frame, (frames,); NaN where a frame does not count, the same for all stems.

    `stems` are those of one track that are scored together: each of them decides which frames count.
    """
    silent = np.logical_or.reduce([stem.silent for stem in stems.values()])
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            name: np.where(silent, np.nan, 10 * np.log10(stem.energy / stem.error))
            for name, stem in stems.items()
        }


def median(frames: np.ndarray) -> float:
    """The median over the frames that count; NaN if none does."""
    counted = frames[~np.isnan(frames)]
    return float(np.median(counted)) if counted.size else float("nan")


def si_sdr(stem: Comparison) -> float:
    """In dB, over the whole track; NaN where reference or estimate is silent.

    With the best scale a = (s, e) / (s, s), the estimate's energy is |as|^2 + |e - as|^2. As a difference of
    sums, it is rounding above 140 dB.
    """
    of_reference, cross, of_estimate = stem.products
    if not of_reference or not of_estimate:
        return float("nan")
    target = cross**2 / of_reference
    error = max(of_estimate - target, 0.0)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.float64(target) / error))
