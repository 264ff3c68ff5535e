"""How well a track was separated: SDR as museval computes it, and SI-SDR, in one pass and no memory.

museval's BSS eval v4 splits an estimate into the true source s, spatial error, interference and artifacts,
by projecting it on the references delayed by up to 511 samples. In its version for images, which is the one
that separation is published with, the numerator of SDR is s itself, and the three errors add up to s minus
the estimate whatever the projections were: the filters decide SIR, ISR and SAR, and cancel in SDR. So SDR is
the energy of s over that of the difference, second by second. What remains of museval is which seconds count:

- frames of 1 s without overlap; the rest of the track is left out, unless all of it is shorter than a frame;
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
from separation.contract import SAMPLE_RATE
from separation.errors import SeparationError

FRAME = SAMPLE_RATE  # samples: museval's window and hop, 1 s


class LengthsDiffer(SeparationError):
    """An estimate that is not as long as its reference; museval would pad or cut it."""

    def __init__(self, reference: int, estimate: int):
        super().__init__(reference, estimate)
        self.reference, self.estimate = reference, estimate

    def __str__(self) -> str:
        return f"{self.estimate} samples; the reference has {self.reference}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One stem's estimate beside its reference: energies, each a sum over both channels.

    Arrays have one entry a frame. `silent`: reference or estimate is; the frame's `error` is of their
    difference. `products` are those of reference and estimate over the whole track, rest included:
    (reference, reference), (reference, estimate), (estimate, estimate).
    """

    samples: int
    energy: np.ndarray
    error: np.ndarray
    silent: np.ndarray
    products: tuple[float, float, float]


def compare(reference: Iterable[np.ndarray], estimate: Iterable[np.ndarray], gain: float = 1.0) -> Comparison:
    """Blocks float32 (2, n) of both, read once and side by side; the estimate is multiplied by `gain`.

    Raises `LengthsDiffer`, once both have been read.
    """
    frames: list[tuple[float, float, bool]] = []
    of_reference = cross = of_estimate = 0.0
    lengths = [0, 0]
    for true, guess in zip_longest(reblock(reference, FRAME), reblock(estimate, FRAME)):
        for side, block in enumerate((true, guess)):
            lengths[side] += 0 if block is None else block.shape[1]
        if lengths[0] != lengths[1]:
            continue
        silent = not (true.sum(axis=0).any() and guess.sum(axis=0).any())
        true, guess = true.astype(np.float64), gain * guess.astype(np.float64)
        energy, error = product(true, true), product(true - guess, true - guess)
        of_reference += energy
        cross += product(true, guess)
        of_estimate += product(guess, guess)
        if true.shape[1] == FRAME or not frames:
            frames.append((energy, error, silent))
    if lengths[0] != lengths[1]:
        raise LengthsDiffer(*lengths)
    energies, errors, silence = np.array(frames, np.float64).reshape(-1, 3).T
    products = (of_reference, cross, of_estimate)
    return Comparison(lengths[0], energies, errors, silence.astype(bool), products)


def product(one: np.ndarray, other: np.ndarray) -> float:
    """The inner product, float64, over both channels."""
    return float(np.vdot(one, other))


def frame_sdr(stems: Mapping[str, Comparison]) -> dict[str, np.ndarray]:
    """Each stem's SDR in dB, frame by frame; NaN where a frame does not count, for all stems alike.

    `stems` are those of one track that are scored together; one of them changes which frames count.
    """
    silent = np.logical_or.reduce([stem.silent for stem in stems.values()])
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            name: np.where(silent, np.nan, 10 * np.log10(stem.energy / stem.error))
            for name, stem in stems.items()
        }


def median(frames: np.ndarray) -> float:
    """Over the frames that count; NaN if none does."""
    counted = frames[~np.isnan(frames)]
    return float(np.median(counted)) if counted.size else float("nan")


def si_sdr(stem: Comparison) -> float:
    """In dB, over the whole track; NaN where reference or estimate is silent.

    With the estimate's best scale a = (s, e) / (s, s), its energy is |as|^2 + |e - as|^2. Differences of
    sums: above 140 dB it is rounding.
    """
    of_reference, cross, of_estimate = stem.products
    if not of_reference or not of_estimate:
        return float("nan")
    target = cross**2 / of_reference
    rest = max(of_estimate - target, 0.0)
    with np.errstate(divide="ignore"):
        return float(10 * np.log10(np.float64(target) / rest))
