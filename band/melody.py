"""Tunes: rhythmic motifs that return, steps more often than leaps, chord tones on the strong beats."""

import numpy as np

from band.plan import Note, Plan, Section


def draw_motif(rng: np.random.Generator, beats: int, density: float) -> list[tuple[float, float]]:
    """(onset, duration) in beats of one phrase: eighths to half notes, with a breath at its end."""
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
    rng: np.random.Generator, plan: Plan, section: Section, centre: float, density: float = 0.5
) -> list[Note]:
    """A tune for `section` around MIDI pitch `centre`, within about an octave: two-bar phrases, A A B A."""
    phrase_beats = 2 * plan.beats_per_bar
    motifs = [draw_motif(rng, phrase_beats, density) for _ in range(2)]
    start = section.first * plan.beats_per_bar
    stop = start + section.bars * plan.beats_per_bar
    home = plan.step_near(centre)
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
                step = to_chord(step, plan.degree(beat), len(plan.scale))
            velocity = float(np.clip(rng.normal(0.6 + 0.3 * section.energy, 0.08), 0.3, 1))
            notes.append(Note(beat, min(duration, stop - beat), plan.pitch(step), velocity))
    return notes


def to_chord(step: int, degree: int, scale_size: int) -> int:
    """The scale step nearest to `step` that is in the triad on `degree`."""
    triad = {(degree + third) % scale_size for third in (0, 2, 4)}
    return min(
        (step - 1, step, step + 1), key=lambda near: (near % scale_size not in triad, abs(near - step))
    )
