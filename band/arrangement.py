"""What a song is before any sound is made: tempo, key, chords and form, drawn from one random generator.

form      intro | verse     | chorus    | bridge | chorus ...
bars      | 0 | 1 | 2 | 3 | 4 | 5 | ...
chords      i   VI  III VII   i  ...        one per bar, by scale degree
"""

from dataclasses import dataclass, replace

import numpy as np

from band.rate import RATE_HZ

# Semitones above the tonic, and progressions (scale degrees from 0, one per bar) that are common in each.
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 0, 4), (1, 4, 0, 5), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 6), (0, 2, 6, 3), (5, 6, 0, 0), (0, 3, 0, 6)),
    "dorian": ((0, 3, 0, 3), (0, 6, 3, 0), (0, 1, 2, 1)),
    "mixolydian": ((0, 6, 3, 0), (0, 3, 6, 0), (0, 4, 6, 3)),
}

# Probability that a part plays in a section of that name, in the order of PARTS.
PARTS = ("drums", "bass", "comp", "pad", "lead", "vocals")
PRESENCE = {
    "intro": (0.5, 0.4, 0.7, 0.5, 0.4, 0.0),
    "verse": (0.95, 0.95, 0.95, 0.3, 0.15, 1.0),
    "chorus": (1.0, 1.0, 1.0, 0.7, 0.3, 1.0),
    "bridge": (0.5, 0.7, 0.6, 0.8, 0.7, 0.5),
    "outro": (0.8, 0.8, 0.8, 0.6, 0.4, 0.3),
}
FORM = ("intro", "verse", "chorus", "verse", "chorus", "bridge", "chorus", "outro")
UNITS = {"intro": 1, "verse": 2, "chorus": 2, "bridge": 1, "outro": 1}  # relative lengths


@dataclass(frozen=True, slots=True)
class Note:
    """Times in beats from the song's start; `velocity` in 0..1."""

    beat: float
    beats: float
    midi: int
    velocity: float


@dataclass(frozen=True, slots=True)
class SongSection:
    """Bars `first` to `first + bars` of the song and the PARTS that play in them; `energy` in 0..1."""

    name: str
    first: int
    bars: int
    energy: float
    playing: frozenset[str]


@dataclass(frozen=True, slots=True)
class Arrangement:
    """`samples` at RATE_HZ; `tonic` is a MIDI pitch class; `swing` delays the off-beat, in beats."""

    samples: int
    bpm: float
    beats_per_bar: int
    swing: float
    tonic: int
    scale: tuple[int, ...]
    chords: tuple[int, ...]
    sections: tuple[SongSection, ...]

    def at(self, beat: float) -> int:
        """The sample at which `beat` begins; off-beats come late by `swing`."""
        whole, part = divmod(beat, 1.0)
        middle = 0.5 + self.swing
        swung = part / 0.5 * middle if part < 0.5 else middle + (part - 0.5) / 0.5 * (1 - middle)
        return round((whole + swung) * 60 / self.bpm * RATE_HZ)

    def length(self, beats: float) -> int:
        """The number of samples in `beats` beats, at least 1."""
        return max(1, round(beats * 60 / self.bpm * RATE_HZ))

    def degree(self, beat: float) -> int:
        """The scale degree of the chord that sounds at `beat`."""
        return self.chords[int(beat // self.beats_per_bar) % len(self.chords)]

    def pitch(self, step: int) -> int:
        """MIDI pitch of scale step `step`, counted from the tonic of octave 0; any integer."""
        octave, within = divmod(step, len(self.scale))
        return self.tonic + 12 * octave + self.scale[within]

    def step_near(self, midi: float) -> int:
        """The scale step whose pitch is nearest to `midi`."""
        guess = int((midi - self.tonic) / 12 * len(self.scale))
        return min(range(guess - 3, guess + 4), key=lambda step: abs(self.pitch(step) - midi))

    def sections_with(self, part: str) -> list[SongSection]:
        """The sections in which `part` plays."""
        return [section for section in self.sections if part in section.playing]


def draw_arrangement(rng: np.random.Generator, samples: int) -> Arrangement:
    """An arrangement for a song of `samples`, in which every stem plays somewhere."""
    bpm = float(rng.uniform(72, 150))
    beats_per_bar = 3 if rng.random() < 0.12 else 4
    mode = str(rng.choice(list(SCALES), p=(0.4, 0.4, 0.1, 0.1)))
    progressions = PROGRESSIONS[mode]
    progression = progressions[rng.integers(len(progressions))]
    bars = int(samples / RATE_HZ * bpm / 60 / beats_per_bar) + 1
    return Arrangement(
        samples=samples,
        bpm=bpm,
        beats_per_bar=beats_per_bar,
        swing=float(rng.uniform(0.08, 0.17)) if rng.random() < 0.3 else 0.0,
        tonic=int(rng.integers(12)),
        scale=SCALES[mode],
        chords=progression,
        sections=draw_form(rng, bars),
    )


def draw_form(rng: np.random.Generator, bars: int) -> tuple[SongSection, ...]:
    """Sections that cover `bars`; a short song begins anywhere in the form, a long one with the intro."""
    unit = 1 if bars < 12 else 2 if bars < 32 else 4 if bars < 96 else 8
    number = int(rng.integers(4)) if bars < 12 else 0
    sections: list[SongSection] = []
    first = 0
    while first < bars:
        name = FORM[number % len(FORM)]
        length = min(unit * UNITS[name], bars - first)
        playing = frozenset(
            part for part, chance in zip(PARTS, PRESENCE[name], strict=True) if rng.random() < chance
        )
        energy = float(np.clip(rng.normal(0.85 if name == "chorus" else 0.55, 0.12), 0.2, 1))
        sections.append(SongSection(name, first, length, energy, playing or frozenset({"comp"})))
        first, number = first + length, number + 1
    return tuple(complete(sections))


def complete(sections: list[SongSection]) -> list[SongSection]:
    """The same sections; a stem that plays in none of them is added to the longest one.

    Not to the last one, which the song's end often cuts short.
    """
    playing = frozenset[str]().union(*(section.playing for section in sections))
    missing = {"drums", "bass", "vocals"} - playing
    if not playing & {"comp", "pad", "lead"}:
        missing.add("comp")
    longest = max(range(len(sections)), key=lambda index: sections[index].bars)
    sections[longest] = replace(sections[longest], playing=sections[longest].playing | missing)
    return sections
