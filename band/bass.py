"""Bass: five timbres, and lines that follow the chords.

A pattern gives the notes of one bar as (onset, duration, interval): beats, beats, semitones above the root.
"""

import numpy as np

from band.arrangement import Arrangement, Note, SongSection
from band.rate import RATE_HZ
from band.tone import (
    Timbre,
    add_at,
    fade,
    harmonics,
    midi_to_hz,
    peak_to_one,
    read_table,
    row_times,
    to_table,
)


def fingered(rng: np.random.Generator) -> Timbre:
    """A plucked string: the higher a harmonic, the faster it decays.

    The decay of the Karplus-Strong string (1983) in closed form: its averaging filter multiplies
    harmonic k by cos(pi k hz / rate) every period. `stretch` damps that as Jaffe & Smith (1983) do.
    """
    position, stretch, decay_s = rng.uniform(0.08, 0.3), rng.uniform(0.1, 0.5), rng.uniform(0.5, 1.6)
    bright = rng.uniform(1.0, 1.9)

    def note(hz: float, length: int) -> np.ndarray:
        k = harmonics(hz, 100)
        t = row_times(length)
        a_period = np.log(np.maximum(np.cos(np.pi * k * hz / RATE_HZ), 1e-3)) * stretch
        amplitudes = np.abs(np.sin(np.pi * k * position)) / k**bright
        sound = read_table(to_table(amplitudes * np.exp(t * (a_period * hz * 8 - 1 / decay_s))), hz, length)
        return fade(sound, 0.003, 0.04)

    return note


def sub(rng: np.random.Generator) -> Timbre:
    """A sine with a little of its second to fourth harmonic: the bass of electronic music."""
    overtones = np.array([[1.0, rng.uniform(0.1, 0.4), rng.uniform(0.05, 0.25), 0.06]], np.float32)

    def note(hz: float, length: int) -> np.ndarray:
        return fade(read_table(to_table(overtones), hz, length), 0.008, 0.05)

    return note


def filtered_saw(rng: np.random.Generator) -> Timbre:
    """A saw or square through a low-pass of fourth order whose corner falls after the attack."""
    square = rng.random() < 0.4
    open_hz, closed_hz, fall_s = rng.uniform(900, 4000), rng.uniform(150, 500), rng.uniform(0.08, 0.4)

    def note(hz: float, length: int) -> np.ndarray:
        k = harmonics(hz, 120)
        corner = closed_hz + (open_hz - closed_hz) * np.exp(-row_times(length) / fall_s)
        wave = (k % 2) / k if square else 1 / k
        return fade(read_table(to_table(wave / (1 + (k * hz / corner) ** 4)), hz, length), 0.004, 0.03)

    return note


def modulated(rng: np.random.Generator) -> Timbre:
    """Frequency modulation whose index falls: Chowning (1973), the bass of the DX7."""
    index, ratio, fall_s = rng.uniform(1.5, 4), int(rng.integers(1, 4)), rng.uniform(0.1, 0.5)

    def note(hz: float, length: int) -> np.ndarray:
        t = row_times(length)
        phase = 2 * np.pi * np.linspace(0, 1, 513, dtype=np.float32)
        waves = np.sin(phase + index * np.exp(-t / fall_s) * np.sin(ratio * phase))
        return fade(read_table(waves * np.exp(-t / 1.5), hz, length), 0.003, 0.04)

    return note


def upright(rng: np.random.Generator) -> Timbre:
    """A double bass: dark, short, with a slow slide into the pitch."""
    decay_s, slide = rng.uniform(0.35, 0.8), rng.uniform(0.01, 0.03)

    def note(hz: float, length: int) -> np.ndarray:
        k = harmonics(hz, 40)
        t = row_times(length)
        amplitudes = np.exp(-t * (1 / decay_s + 1.2 * k)) / (1 + (k * hz / 350) ** 1.5)
        into = hz * (1 - slide * np.exp(-np.arange(length) / (0.03 * RATE_HZ)))
        return fade(read_table(to_table(amplitudes), into, length), 0.006, 0.05)

    return note


TIMBRES = (fingered, fingered, sub, filtered_saw, filtered_saw, modulated, upright)


def eighths(rng: np.random.Generator, beats: int) -> list[tuple[float, float, int]]:
    return [(step / 2, 0.48, 0) for step in range(2 * beats)]


def octaves(rng: np.random.Generator, beats: int) -> list[tuple[float, float, int]]:
    return [(step / 2, 0.4, 12 * (step % 2)) for step in range(2 * beats)]


def held(rng: np.random.Generator, beats: int) -> list[tuple[float, float, int]]:
    return [(0.0, beats - 0.2, 0)]


def root_and_fifth(rng: np.random.Generator, beats: int) -> list[tuple[float, float, int]]:
    return [(float(beat), 0.85, (0, 7)[beat // 2 % 2]) for beat in range(0, beats, 2)] + [
        (beats - 0.5, 0.4, 0)
    ]


def walking(rng: np.random.Generator, beats: int) -> list[tuple[float, float, int]]:
    return [(float(beat), 0.9, (0, 4, 7, 9)[beat % 4] if rng.random() < 0.8 else 0) for beat in range(beats)]


def syncopated(rng: np.random.Generator, beats: int) -> list[tuple[float, float, int]]:
    onsets = [onset for onset in (0.0, 0.75, 1.5, 2.0, 2.75, 3.5) if onset < beats and rng.random() < 0.8]
    return [(onset, 0.45, int(rng.choice((0, 0, 0, 7, 12)))) for onset in onsets or [0.0]]


PATTERNS = (eighths, octaves, held, root_and_fifth, walking, syncopated)


def draw_line(rng: np.random.Generator, arrangement: Arrangement, section: SongSection) -> list[Note]:
    """The section's bass line: one pattern, transposed to each bar's chord, with all notes in the scale."""
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    bar_pattern = pattern(rng, arrangement.beats_per_bar)
    notes: list[Note] = []
    for bar in range(section.first, section.first + section.bars):
        start = bar * arrangement.beats_per_bar
        root = arrangement.pitch(arrangement.degree(start))
        root = 28 + (root - 28) % 12  # E1 to D#2, a bass's lowest octave
        for onset, beats, interval in bar_pattern:
            midi = arrangement.pitch(arrangement.step_near(root + interval))
            notes.append(Note(start + onset, beats, midi, float(np.clip(rng.normal(0.8, 0.08), 0.4, 1))))
    return notes


def play_bass(rng: np.random.Generator, arrangement: Arrangement) -> np.ndarray:
    """The stem, float32 (2, samples), the same in both channels; its level is arbitrary."""
    timbre = TIMBRES[rng.integers(len(TIMBRES))](rng)
    canvas = np.zeros(arrangement.samples, np.float32)
    made: dict[tuple[int, int], np.ndarray] = {}
    for section in arrangement.sections_with("bass"):
        for note in draw_line(rng, arrangement, section):
            length = arrangement.length(note.beats)
            if (note.midi, length) not in made:
                made[note.midi, length] = peak_to_one(timbre(midi_to_hz(note.midi), length))
            add_at(canvas, made[note.midi, length], arrangement.at(note.beat), note.velocity)
    return np.stack([canvas, canvas])
