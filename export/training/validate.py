"""SDR on whole songs that the training never hears: the median over seconds, then over songs."""

import numpy as np
import torch
from demucs.apply import apply_model
from demucs.htdemucs import HTDemucs

from separation.contract import SAMPLE_RATE, STEMS


def sdr(stems: np.ndarray, row: int, estimate: np.ndarray) -> float:
    """Median over whole seconds of 10 log10(|stem|^2 / |stem - estimate|^2), dB; stems (4, 2, samples), the
    estimate of stem `row` (2, samples).

    As in museval a second counts if no stem is all zeros in it, whichever is scored; NaN if there is none.
    """
    sounds = _energy(stems) > 0
    signal, error = _energy(stems[row]), _energy(stems[row] - estimate)
    counted = sounds.all(0)
    return float(np.median(10 * np.log10(signal[counted] / np.maximum(error[counted], 1e-12))))


def _energy(sound: np.ndarray) -> np.ndarray:
    """(..., 2, samples) -> the sum of squares of every whole second (..., seconds)."""
    seconds = sound.shape[-1] // SAMPLE_RATE
    whole = sound[..., : seconds * SAMPLE_RATE].reshape(*sound.shape[:-1], seconds, SAMPLE_RATE)
    return (whole**2).sum((-3, -1))


def validate(model: HTDemucs, songs: list[np.ndarray], rows: list[int]) -> dict[str, tuple[float, float]]:
    """The median SDR of stems `rows`, which the model gives in this order, and that of the mix itself, dB."""
    scores: dict[str, list[tuple[float, float]]] = {STEMS[row]: [] for row in rows}
    for song in songs:
        stems = np.asarray(song, np.float32)
        mix = stems.sum(0)
        level, mean = mix.mean(0).std(), mix.mean()
        with torch.no_grad():
            estimates = apply_model(model, torch.from_numpy((mix - mean) / level)[None], shifts=0)[0].numpy()
        for row, flat in zip(rows, estimates, strict=True):
            estimate = flat * level + mean
            scores[STEMS[row]].append((sdr(stems, row, estimate), sdr(stems, row, mix)))
    return {
        stem: (round(float(np.nanmedian(ours)), 2), round(float(np.nanmedian(mixes)), 2))
        for stem, (ours, mixes) in ((stem, zip(*pairs, strict=True)) for stem, pairs in scores.items())
    }
