"""Tracks of references and estimates, the same on every machine: no generator of numpy's is asked."""

import numpy as np

RATE = 44_100  # Hz
Stems = dict[str, np.ndarray]  # float32 (2, samples) each


def noise(samples: int, seed: int) -> np.ndarray:
    """White, (2, samples), from -1 to 1: splitmix64 of the sample's number."""
    number = np.arange(2 * samples, dtype=np.uint64) + np.uint64(seed << 40)
    mixed = (number + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return ((mixed >> np.uint64(11)).astype(np.float64) / 2**52 - 1).reshape(2, samples)


def music(samples: int) -> Stems:
    time = np.arange(samples) / RATE
    hits = noise(samples, 1) * np.exp(-12 * (time % 0.37))
    bass = sum(np.sin(2 * np.pi * 55 * n * time) / n for n in (1, 2, 3)) * np.exp(-2 * (time % 0.74))
    chord = sum(np.sin(2 * np.pi * hertz * time) for hertz in (220, 277.2, 329.6)) * (
        0.6 + 0.4 * np.cos(time)
    )
    voice = np.sin(2 * np.pi * 440 * time + 3 * np.sin(2 * np.pi * 5.5 * time)) + 0.05 * noise(samples, 2)[0]
    return at_16_bits(
        {
            "drums": 0.3 * hits,
            "bass": 0.2 * np.stack([bass, bass]),
            "other": 0.1 * np.stack([chord, 0.5 * np.roll(chord, 20)]),
            "vocals": 0.25 * np.stack([voice, 0.8 * voice]),
        }
    )


def leaky(references: Stems) -> Stems:
    """Estimates with some of the other stems and some noise in them."""
    mix = sum(references.values())
    estimates = {}
    for number, (stem, sound) in enumerate(references.items()):
        leak = 0.04 * (number + 1)
        estimates[stem] = (1 - leak) * sound + leak * mix + 0.002 * noise(sound.shape[1], 10 + number)
    return at_16_bits(estimates)


def at_16_bits(stems: Stems) -> Stems:
    return {stem: np.float32(np.round(sound * 32768) / 32768) for stem, sound in stems.items()}


def cases() -> dict[str, tuple[Stems, Stems]]:
    """Name -> references and estimates."""
    built: dict[str, tuple[Stems, Stems]] = {}
    for name, samples in (
        ("of an odd length", 5 * RATE + 16_321),
        ("under a second", 17_640),
        ("of a second", RATE),
        ("of a second and a sample", RATE + 1),
    ):
        references = music(samples)
        built[name] = references, leaky(references)

    references, second = music(6 * RATE), RATE
    estimates = leaky(references)
    references["drums"][:, second : 2 * second] = 0
    estimates["vocals"][:, 2 * second : 3 * second] = 0
    references["bass"][1, 3 * second : 4 * second] = -references["bass"][0, 3 * second : 4 * second]
    built["with silent and opposed channels"] = references, estimates

    references = {stem: np.stack([sound[0], sound[0]]) for stem, sound in music(3 * RATE).items()}
    built["with equal channels"] = references, leaky(references)

    references = music(3 * RATE + 7)
    late = {stem: np.roll(sound, 10, axis=1) for stem, sound in references.items()}
    built["delayed by 10 samples"] = references, late
    built["at half the level"] = references, {stem: 0.5 * sound for stem, sound in references.items()}
    mix = np.sum([*references.values()], axis=0, dtype=np.float32)
    built["with the mix for every stem"] = references, dict.fromkeys(references, mix)
    return built
