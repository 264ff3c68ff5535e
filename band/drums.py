"""A drum kit, and grooves and fills played on it.

The recipes follow Gordon Reid's "Synth Secrets" (Sound on Sound, 2001-02): a kick is a sine whose pitch
falls, a snare two shell modes and noise for its wires, a cymbal six inharmonic squares (as in the TR-808)
and noise. Every drum has a few variants in a song, drawn at random for each hit.
"""

from collections.abc import Callable

import numpy as np

from band.arrangement import Arrangement, SongSection
from band.rate import RATE_HZ
from band.tone import add_at, fade, pan, peak_to_one

VARIANTS = 4
METAL = np.array([205.3, 304.4, 369.6, 522.7, 540.0, 800.0])  # Hz: the TR-808's six oscillators

# Sixteenths of a 4/4 bar: x is a hit, o a soft one, ? a hit on one bar in three.
GROOVES = {
    "rock": {"kick": "x..?..x.x.?..o..", "snare": "....x.......x..o", "hat": "x.o.x.o.x.o.x.o."},
    "four": {"kick": "x...x...x...x...", "snare": "....x.......x...", "hat": "..x.o.x...x.o.xo"},
    "half": {"kick": "x.....?...x..?..", "snare": "........x.......", "hat": "x.o.x.o.x.oox.oo"},
    "funk": {"kick": "x..x..?...xo..?.", "snare": "..o.x..o.o..x..o", "hat": "xoxoxoxoxoxoxoxo"},
    "break": {"kick": "x.x.......xx....", "snare": "....x..o.o..x..o", "hat": "x.o.x.o.x.o.x.o."},
    "trap": {"kick": "x.....x..?x.....", "snare": "........x.......", "hat": "xxx?xoxxxoxoxxxx"},
    "ride": {"kick": "x.....?.x.....?.", "snare": "....o..o....x..?", "ride": "x...x.o.x...x.o."},
    "toms": {"kick": "x...x...x...x...", "snare": "............x...", "tom": "x.ox.ox.x.ox.oxx"},
}
FILLS = ("snare snare tom tom", "tom tom low low", "snare . snare snare", "snare tom low kick")


def seconds(length_s: float) -> np.ndarray:
    """The times of the samples of `length_s` seconds, in s."""
    return np.arange(round(length_s * RATE_HZ), dtype=np.float32) / RATE_HZ


def noise(rng: np.random.Generator, length: int, low_hz: float, high_hz: float) -> np.ndarray:
    """White noise between two corners of second order: (length,), rms about 1."""
    size = 1 << (length - 1).bit_length()
    spectrum = np.fft.rfft(rng.standard_normal(size, dtype=np.float32))
    ratio = np.maximum(np.fft.rfftfreq(size, 1 / RATE_HZ).astype(np.float32), 1.0)
    spectrum /= (1 + (low_hz / ratio) ** 2) * (1 + (ratio / high_hz) ** 2)
    sound = np.fft.irfft(spectrum, size)[:length].astype(np.float32)
    return sound / max(float(sound.std()), 1e-9)


def falling_sine(t: np.ndarray, hz: float, fall: float, fall_s: float) -> np.ndarray:
    """A sine at times `t` in s; its pitch falls from `hz * (1 + fall)` to `hz`, time constant `fall_s`."""
    cycles = hz * (t + fall * fall_s * (1 - np.exp(-t / fall_s)))
    return np.sin(2 * np.pi * cycles)


def kick(rng: np.random.Generator) -> Callable[[], np.ndarray]:
    hz, fall, decay, click = (
        rng.uniform(44, 62),
        rng.uniform(2, 6),
        rng.uniform(0.09, 0.28),
        rng.uniform(0.05, 0.4),
    )

    def hit() -> np.ndarray:
        t = seconds(0.5)
        body = falling_sine(t, hz, fall * rng.uniform(0.9, 1.1), 0.025) * np.exp(-t / decay)
        beater = noise(rng, len(t), 1500, 6000) * np.exp(-t / 0.006)
        return np.tanh(1.6 * (body + click * 0.4 * beater))

    return hit


def snare(rng: np.random.Generator) -> Callable[[], np.ndarray]:
    hz, wires, decay = rng.uniform(165, 240), rng.uniform(0.4, 1.0), rng.uniform(0.07, 0.16)
    low, high = rng.uniform(900, 2500), rng.uniform(7000, 13000)

    def hit() -> np.ndarray:
        t = seconds(0.45)
        tune = hz * rng.uniform(0.985, 1.015)
        shell = falling_sine(t, tune, 0.4, 0.02) + 0.6 * falling_sine(t, 1.6 * tune, 0.3, 0.02)
        return shell * np.exp(-t / 0.06) + wires * 0.5 * noise(rng, len(t), low, high) * np.exp(-t / decay)

    return hit


def clap(rng: np.random.Generator) -> Callable[[], np.ndarray]:
    def hit() -> np.ndarray:
        t = seconds(0.35)
        hands = sum(np.where(t >= at, np.exp(-(t - at) / 0.008), 0) for at in (0.0, 0.011, 0.023))
        tail = np.where(t >= 0.03, np.exp(-(t - 0.03) / 0.08), 0)
        return noise(rng, len(t), 900, 4000) * (hands + 0.8 * tail)

    return hit


def tom(rng: np.random.Generator, low: bool) -> Callable[[], np.ndarray]:
    hz = rng.uniform(75, 100) if low else rng.uniform(120, 175)

    def hit() -> np.ndarray:
        t = seconds(0.6)
        head = falling_sine(t, hz * rng.uniform(0.98, 1.02), 0.5, 0.05) * np.exp(-t / 0.16)
        return head + 0.12 * noise(rng, len(t), 300, 5000) * np.exp(-t / 0.03)

    return hit


def cymbal(
    rng: np.random.Generator, length_s: float, decay_s: float, low_hz: float
) -> Callable[[], np.ndarray]:
    tune, metal = rng.uniform(0.9, 1.5), rng.uniform(0.15, 0.6)

    def hit() -> np.ndarray:
        t = seconds(length_s)
        phases = tune * METAL[:, None] * t + rng.random((len(METAL), 1))
        plates = np.sign(np.sin(2 * np.pi * phases.astype(np.float32))).sum(0, dtype=np.float32)
        ring = noise(rng, len(t), low_hz, 16000)
        # The squares are heard only far above their fundamentals: differenced twice, a treble lift.
        ring += metal * np.diff(plates, n=2, prepend=[plates[0]] * 2)
        decay = decay_s * rng.uniform(0.85, 1.15)
        return ring * (0.6 * np.exp(-t / decay) + 0.4 * np.exp(-t / (decay / 6)))

    return hit


def build_kit(rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """By drum its variants, float32 (2, samples) each, at the drum's level and stereo position in the kit."""
    two = clap(rng) if rng.random() < 0.15 else snare(rng)
    makers = {  # level, pan, maker
        "kick": (1.0, 0.0, kick(rng)),
        "snare": (0.75, 0.05, two),
        "tom": (0.6, -0.3, tom(rng, low=False)),
        "low": (0.65, 0.35, tom(rng, low=True)),
        "hat": (0.28, 0.3, cymbal(rng, 0.25, rng.uniform(0.02, 0.06), 6500)),
        "open": (0.3, 0.3, cymbal(rng, 0.7, rng.uniform(0.15, 0.3), 6000)),
        "ride": (0.25, -0.4, cymbal(rng, 1.2, rng.uniform(0.3, 0.5), 4500)),
        "crash": (0.4, -0.2, cymbal(rng, 2.2, rng.uniform(0.5, 0.9), 2500)),
    }
    kit: dict[str, list[np.ndarray]] = {}
    for name, (level, position, hit) in makers.items():
        gain = level * rng.uniform(0.75, 1.25)
        spread = float(np.clip(position + rng.normal(0, 0.1), -0.8, 0.8))
        count = 2 if name in ("crash", "open") else VARIANTS
        kit[name] = [pan(gain * fade(peak_to_one(hit()), 0.0003, 0.02), spread) for _ in range(count)]
    return kit


def play_drums(rng: np.random.Generator, arrangement: Arrangement) -> np.ndarray:
    """The stem, float32 (2, samples); its level is arbitrary.

    One groove for the song and one for its bridges; often a crash where a section begins, and a fill where it
    ends.
    """
    kit = build_kit(rng)
    canvas = np.zeros((2, arrangement.samples), np.float32)
    looseness = rng.uniform(0.0005, 0.005) * RATE_HZ  # samples: how far hits fall from the grid

    def strike(drum: str, beat: float, velocity: float) -> None:
        variant = kit[drum][rng.integers(len(kit[drum]))]
        start = arrangement.at(beat) + round(rng.normal(0, looseness))
        add_at(canvas, variant, max(0, start), float(np.clip(velocity * rng.normal(1, 0.08), 0.1, 1.2)))

    names = list(GROOVES)
    main, second = (names[rng.integers(len(names))] for _ in range(2))
    for section in arrangement.sections_with("drums"):
        groove = GROOVES[second if section.name == "bridge" else main]
        play_section(rng, arrangement, section, groove, strike)
    return canvas


def play_section(
    rng: np.random.Generator,
    arrangement: Arrangement,
    section: SongSection,
    groove: dict[str, str],
    strike: Callable[[str, float, float], None],
) -> None:
    """Calls `strike(drum, beat, velocity)` for the section's hits; 6 of 10 sections end with a fill."""
    steps = 4 * arrangement.beats_per_bar
    fill_from = steps - 8 if rng.random() < 0.6 else steps
    level = 0.7 + 0.3 * section.energy
    for bar in range(section.first, section.first + section.bars):
        start = bar * arrangement.beats_per_bar
        last_bar = bar == section.first + section.bars - 1
        if bar == section.first and rng.random() < 0.3 + 0.5 * section.energy:
            strike("crash", start, level)
        for drum, pattern in groove.items():
            for step, symbol in enumerate(pattern[:steps]):
                if (
                    symbol == "."
                    or (symbol == "?" and rng.random() > 0.33)
                    or (last_bar and step >= fill_from)
                ):
                    continue
                opened = drum == "hat" and step % 4 == 2 and rng.random() < 0.15 * section.energy
                accent = 0.4 if symbol == "o" else 1.0
                strike("open" if opened else drum, start + step / 4, level * accent)
        if last_bar:
            fill = FILLS[rng.integers(len(FILLS))].split()
            for step in range(fill_from, steps):
                drum = fill[(step - fill_from) * len(fill) // 8]
                if drum != "." and rng.random() < 0.85:
                    strike(drum, start + step / 4, level * rng.uniform(0.6, 1))
