"""SDR on whole songs that the training never hears: the median over seconds, then over songs."""

import numpy as np
import torch
from demucs.apply import apply_model
from demucs.htdemucs import HTDemucs

from separation.contract import SAMPLE_RATE, STEMS


def sdr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Median over whole seconds of 10 log10(|reference|^2 / |reference - estimate|^2), dB; (2, samples) each.

    Seconds in which the reference is silent do not count, as in museval.
    """
    seconds = reference.shape[1] // SAMPLE_RATE
    shape = (2, seconds, SAMPLE_RATE)
    whole = slice(0, seconds * SAMPLE_RATE)
    signal = (reference[:, whole].reshape(shape) ** 2).sum((0, 2))
    error = ((reference - estimate)[:, whole].reshape(shape) ** 2).sum((0, 2))
    heard = signal > 1e-6 * 2 * SAMPLE_RATE
    return float(np.median(10 * np.log10(signal[heard] / np.maximum(error[heard], 1e-12))))


def validate(model: HTDemucs, songs: list[np.ndarray], rows: list[int]) -> dict[str, tuple[float, float]]:
    """For the stems of `rows` the median SDR of the model and that of the mix itself as the estimate, dB."""
    scores: dict[str, list[tuple[float, float]]] = {STEMS[row]: [] for row in rows}
    for song in songs:
        stems = np.asarray(song, np.float32)
        mix = stems.sum(0)
        level, mean = mix.mean(0).std(), mix.mean()
        with torch.no_grad():
            estimates = apply_model(model, torch.from_numpy((mix - mean) / level)[None], shifts=0)[0].numpy()
        for row in rows:
            estimate = estimates[row] * level + mean
            scores[STEMS[row]].append((sdr(stems[row], estimate), sdr(stems[row], mix)))
    return {
        stem: (round(float(np.median(ours)), 2), round(float(np.median(mixes)), 2))
        for stem, (ours, mixes) in ((stem, zip(*pairs, strict=True)) for stem, pairs in scores.items())
    }
