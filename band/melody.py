"""Melodies: recurring rhythmic motifs, more steps than leaps, chord tones on the beats."""

import numpy as np

from band.arrangement import Arrangement, Note, SongSection


def draw_motif(rng: np.random.Generator, beats: int, density: float) -> list[tuple[float, float]]:
    """(onset, duration) in beats of one phrase: eighths to half notes, with a rest at its end."""
    motif: list[tuple[float, float]] = []
    onset = float(rng.choice((0.0, 0.0, 0.5, 1.0)))
    breath = float(rng.uniform(0.5, 1.5))
    while onset < beats - breath:
        long = (0.5, 1.0, 1.5, 2.0) if density < 0.6 else (0.5, 0.5, 1.0, 1.5)
        duration = min(float(rng.choice(long)), beats - breath - onset + 0.5)
        if rng.random() > 0.12 or not motif:
            motif.append((onset, duration))
        onset += duration
    return motif


def draw_melody(
    rng: np.random.Generator,
    arrangement: Arrangement,
    section: SongSection,
    centre: float,
    density: float = 0.5,
) -> list[Note]:
    """A melody for `section`, within about an octave of MIDI pitch `centre`, in two-bar phrases: A A B A.

    `density` in 0..1: from 0.6 up, notes are shorter.
    """
    phrase_beats = 2 * arrangement.beats_per_bar
    motifs = [draw_motif(rng, phrase_beats, density) for _ in range(2)]
    start = section.first * arrangement.beats_per_bar
    stop = start + section.bars * arrangement.beats_per_bar
    home = arrangement.step_near(centre)
    step = home + int(rng.integers(-2, 3))
    notes: list[Note] = []
    for number, phrase in enumerate(range(start, stop, phrase_beats)):
        for onset, duration in motifs[1 if number % 4 == 2 else 0]:
            beat = phrase + onset
            if beat >= stop:
                break
            # A pull towards the middle of the range keeps the walk singable.
            pull = 0.25 * (home - step)
            step += int(np.clip(np.rint(rng.normal(pull, 1.5)), -4, 4))
            if onset % 1.0 == 0:
                step = to_chord(step, arrangement.degree(beat), len(arrangement.scale))
            velocity = float(np.clip(rng.normal(0.6 + 0.3 * section.energy, 0.08), 0.3, 1))
            notes.append(Note(beat, min(duration, stop - beat), arrangement.pitch(step), velocity))
    return notes


def to_chord(step: int, degree: int, scale_size: int) -> int:
    """The scale step nearest to `step` that is in the triad on `degree`."""
    triad = {(degree + third) % scale_size for third in (0, 2, 4)}
    return min(
        (step - 1, step, step + 1), key=lambda near: (near % scale_size not in triad, abs(near - step))
    )
