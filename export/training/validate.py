"""SDR on whole songs outside the training set: the median over seconds, then over songs."""

import numpy as np
import torch
from demucs.apply import apply_model
from demucs.htdemucs import HTDemucs

from export.htdemucs.arguments import SOURCES
from separation.contract import HTDEMUCS


def sdr(stems: np.ndarray, row: int, estimate: np.ndarray) -> float:
    """SDR of `estimate` (2, samples) of stem `row` of `stems` (4, 2, samples), in dB.

    The median over whole seconds of 10 log10(|stem|^2 / |stem - estimate|^2). As in museval a second counts
    only if none of the stems is all zeros in it, whichever is scored; NaN if no second counts.
    """
    audible = _energy(stems) > 0
    signal, error = _energy(stems[row]), _energy(stems[row] - estimate)
    counted = audible.all(0)
    return float(np.median(10 * np.log10(signal[counted] / np.maximum(error[counted], 1e-12))))


def _energy(sound: np.ndarray) -> np.ndarray:
    """(..., 2, samples) -> the sum of squares in every whole second: (..., seconds)."""
    rate = HTDEMUCS.sample_rate
    seconds = sound.shape[-1] // rate
    whole = sound[..., : seconds * rate].reshape(*sound.shape[:-1], seconds, rate)
    energy: np.ndarray = (whole**2).sum((-3, -1))
    return energy


def validate(model: HTDemucs, songs: list[np.ndarray], rows: list[int]) -> dict[str, tuple[float, float]]:
    """By stem, in dB: the median SDR over `songs` of the model's estimate, and of the mix as an estimate.

    `rows` are the stems that the model gives, in this order; songs are (4, 2, samples).
    """
    scores: dict[str, list[tuple[float, float]]] = {SOURCES[row]: [] for row in rows}
    for song in songs:
        stems = np.asarray(song, np.float32)
        mix = stems.sum(0)
        level, mean = mix.mean(0).std(), mix.mean()
        with torch.no_grad():
            estimates = apply_model(model, torch.from_numpy((mix - mean) / level)[None], shifts=0)[0].numpy()
        for row, flat in zip(rows, estimates, strict=True):
            estimate = flat * level + mean
            scores[SOURCES[row]].append((sdr(stems, row, estimate), sdr(stems, row, mix)))
    return {
        stem: (round(float(np.nanmedian(ours)), 2), round(float(np.nanmedian(mixes)), 2))
        for stem, (ours, mixes) in ((stem, zip(*pairs, strict=True)) for stem, pairs in scores.items())
    }
