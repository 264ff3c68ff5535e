"""The stem `other`: all that is neither drums, bass nor voice.

Three parts, each with its own timbre: `comp` strikes the chords, `pad` holds or breaks them,
`lead` plays a tune.
"""

import numpy as np

from band.arrangement import Arrangement, SongSection
from band.melody import draw_melody
from band.rate import RATE_HZ
from band.tone import (
    Timbre,
    add_at,
    fade,
    harmonics,
    midi_to_hz,
    pan,
    peak_to_one,
    read_table,
    row_times,
    to_table,
)

DRAWBARS = np.array([1, 3, 2, 4, 6, 8, 10, 12, 16])  # over the 16' pipe: 16', 5 1/3', 8', 4' ... 1'
REGISTRATIONS = ((8, 8, 8, 0, 0, 0, 0, 0, 0), (8, 0, 8, 6, 0, 4, 0, 0, 2), (0, 0, 8, 8, 4, 5, 2, 3, 4))


def guitar(rng: np.random.Generator) -> Timbre:
    """A plucked string with the body's warmth; see `bass.fingered` for the decay."""
    position, bright, decay_s = rng.uniform(0.08, 0.35), rng.uniform(0.6, 1.3), rng.uniform(0.8, 2.5)

    def note(hz: float, length: int) -> np.ndarray:
        k = harmonics(hz, 80)
        loss = 1 / decay_s + 0.35 * k + (k * hz / 2500) ** 2
        amplitudes = np.abs(np.sin(np.pi * k * position)) / k**bright * np.exp(-row_times(length) * loss)
        return fade(read_table(to_table(amplitudes), hz, length), 0.002, 0.03)

    return note


def distorted_guitar(rng: np.random.Generator) -> Timbre:
    """A string into a hard-driven amplifier and a loudspeaker that falls off at 4.5 kHz.

    The drive works on a single period, so its harmonics are the string's and cannot alias.
    """
    string, drive = guitar(rng), rng.uniform(4, 15)

    def note(hz: float, length: int) -> np.ndarray:
        k = harmonics(hz, 60)
        amplitudes = np.abs(np.sin(0.4 * k)) / k * np.exp(-row_times(length) * (0.5 + 0.3 * k))
        driven = np.tanh(drive * to_table(amplitudes)[:, :-1])
        spectrum = np.abs(np.fft.rfft(driven, axis=1))[:, 1 : len(k) + 1] / driven.shape[1]
        speaker = 1 / (1 + (k * hz / 4500) ** 4)
        body = read_table(
            to_table(spectrum * speaker, np.random.default_rng(5).uniform(0, 6.28, len(k))), hz, length
        )
        return fade(body + 0.1 * string(hz, length), 0.002, 0.02)

    return note


def organ(rng: np.random.Generator) -> Timbre:
    """Drawbars through a rotating loudspeaker: a little vibrato and tremolo at one rate."""
    registration = np.array(REGISTRATIONS[rng.integers(len(REGISTRATIONS))])
    wheel_hz, depth = rng.choice((0.8, 6.5)), rng.uniform(0.0005, 0.004)

    def note(hz: float, length: int) -> np.ndarray:
        amplitudes = np.zeros((1, 16), np.float32)
        amplitudes[0, DRAWBARS - 1] = np.where(registration > 0, 10 ** ((registration - 8) * 3 / 20), 0)
        amplitudes[0, harmonics(hz / 2, 16).size :] = 0
        wheel = np.sin(2 * np.pi * wheel_hz * np.arange(length) / RATE_HZ).astype(np.float32)
        sound = read_table(to_table(amplitudes), hz / 2 * (1 + depth * wheel), length)
        return fade(sound * (1 + 30 * depth * wheel), 0.006, 0.02)

    return note


def electric_piano(rng: np.random.Generator) -> Timbre:
    """Two pairs of modulated sines, as the DX7's electric piano: a body at 1:1 and a tine at 1:14."""
    index, tine, decay_s = rng.uniform(0.5, 1.8), rng.uniform(0.05, 0.3), rng.uniform(0.8, 2.0)

    def note(hz: float, length: int) -> np.ndarray:
        t = row_times(length)
        phase = 2 * np.pi * np.linspace(0, 1, 1025, dtype=np.float32)
        body = np.sin(phase + index * np.exp(-t / 0.6) * np.sin(phase))
        bell = 14 if 15 * hz < 16_000 else 4
        waves = body + tine * np.exp(-t / 0.12) * np.sin(phase + 0.6 * np.sin(bell * phase))
        return fade(read_table(waves * np.exp(-t / decay_s), hz, length), 0.002, 0.05)

    return note


def piano(rng: np.random.Generator) -> Timbre:
    """Two strings a little apart, each harmonic with a fast and a slow decay (Weinreich, 1977)."""
    bright, apart = rng.uniform(0.9, 1.4), rng.uniform(0.0003, 0.0012)

    def note(hz: float, length: int) -> np.ndarray:
        k = harmonics(hz, 50)
        t = row_times(length)
        start = np.abs(np.sin(np.pi * k / 8.3)) / k**bright / (1 + (k * hz / 5000) ** 2)
        rate = (hz / 440) ** 0.7 * (0.9 + 0.4 * k)
        waves = to_table(start * (0.7 * np.exp(-3 * rate * t) + 0.3 * np.exp(-0.5 * rate * t)))
        sound = read_table(waves, hz * (1 - apart), length) + read_table(
            waves, hz * (1 + apart), length, phase=0.1
        )
        return fade(sound, 0.002, 0.06)

    return note


def strings(rng: np.random.Generator) -> Timbre:
    """Three saws with slow, separate vibrato behind a soft filter: a section of bowed strings, or a pad."""
    corner_hz, attack_s, spread = rng.uniform(900, 4000), rng.uniform(0.05, 0.35), rng.uniform(0.001, 0.005)
    opening = rng.uniform(0.3, 1.0)

    def note(hz: float, length: int) -> np.ndarray:
        k = harmonics(hz, 60)
        corner = corner_hz * (opening + (1 - opening) * np.minimum(1, row_times(length) / 1.2))
        table = to_table(1 / k / (1 + (k * hz / corner) ** 2))
        t = np.arange(length) / RATE_HZ
        sound = np.zeros(length, np.float32)
        for player, detune in enumerate((-1, 0, 1)):
            vibrato = 0.002 * np.sin(2 * np.pi * (4.6 + 0.5 * player) * t + player)
            sound += read_table(table, hz * (1 + spread * detune + vibrato), length, phase=0.37 * player)
        return fade(sound, attack_s, 0.15)

    return note


def synth(rng: np.random.Generator) -> Timbre:
    """Two detuned saws or pulses through a falling fourth-order filter."""
    width, detune = rng.uniform(0.15, 0.5), rng.uniform(0.001, 0.006)
    saw = rng.random() < 0.6
    open_hz, closed_hz, fall_s = rng.uniform(2000, 9000), rng.uniform(500, 2000), rng.uniform(0.06, 0.5)

    def note(hz: float, length: int) -> np.ndarray:
        k = harmonics(hz, 80)
        corner = closed_hz + (open_hz - closed_hz) * np.exp(-row_times(length) / fall_s)
        wave = 1 / k if saw else np.abs(np.sin(np.pi * k * width)) / k
        table = to_table(wave / (1 + (k * hz / corner) ** 4))
        sound = read_table(table, hz * (1 - detune), length) + read_table(
            table, hz * (1 + detune), length, phase=0.4
        )
        return fade(sound, 0.005, 0.05)

    return note


def brass(rng: np.random.Generator) -> Timbre:
    """The louder, the brighter: the spectrum widens through the attack (Risset & Mathews, 1969)."""
    reach_hz, swell_s = rng.uniform(1200, 3000), rng.uniform(0.03, 0.12)

    def note(hz: float, length: int) -> np.ndarray:
        k = harmonics(hz, 40)
        level = 1 - 0.9 * np.exp(-row_times(length) / swell_s)
        table = to_table(level / (1 + (k * hz / (reach_hz * level)) ** 3))
        t = np.arange(length) / RATE_HZ
        vibrato = 0.004 * np.minimum(1, t / 0.5) * np.sin(2 * np.pi * 5.2 * t)
        return fade(read_table(table, hz * (1 + vibrato), length), 0.02, 0.06)

    return note


STRUCK = (guitar, guitar, distorted_guitar, organ, electric_piano, piano, piano, synth)
HELD = (strings, strings, organ, synth)
LEADS = (synth, brass, guitar, electric_piano, strings, distorted_guitar)

# Onsets of chords in a bar, in beats, and how long they sound.
RHYTHMS = (
    ((0.0, 3.8),),
    ((0.0, 0.9), (1.0, 0.9), (2.0, 0.9), (3.0, 0.9)),
    ((0.0, 1.4), (1.5, 1.4), (3.0, 0.9)),
    ((0.5, 0.4), (1.5, 0.4), (2.5, 0.4), (3.5, 0.4)),
    ((0.0, 0.4), (0.5, 0.4), (1.0, 0.4), (1.5, 0.4), (2.0, 0.4), (2.5, 0.4), (3.0, 0.4), (3.5, 0.4)),
    ((0.0, 0.7), (0.75, 0.7), (1.5, 0.4), (2.5, 0.4), (3.0, 0.7)),
)


class Player:
    """One timbre at one position in the stereo image, on a canvas (samples,); equal notes are made once."""

    def __init__(self, timbre: Timbre, arrangement: Arrangement, position: float):
        self.timbre, self.arrangement, self.position = timbre, arrangement, position
        self.canvas = np.zeros(arrangement.samples, np.float32)
        self.made: dict[tuple[int, int], np.ndarray] = {}

    def play(self, beat: float, beats: float, midi: int, velocity: float, late: int = 0) -> None:
        """Adds a note: start and duration in beats, `velocity` in 0..1, `late` in samples, as in a strum."""
        length = self.arrangement.length(beats)
        if (midi, length) not in self.made:
            self.made[midi, length] = peak_to_one(self.timbre(midi_to_hz(midi), length))
        add_at(self.canvas, self.made[midi, length], self.arrangement.at(beat) + late, velocity)

    def stereo(self) -> np.ndarray:
        """All notes so far: (2, samples)."""
        return pan(self.canvas, self.position)


def voicing(arrangement: Arrangement, beat: float, lowest: int, sevenths: bool) -> list[int]:
    """The chord at `beat` as three or four MIDI pitches within the octave from `lowest` up, ascending."""
    degree = arrangement.degree(beat)
    tones = [arrangement.pitch(degree + third) for third in ((0, 2, 4, 6) if sevenths else (0, 2, 4))]
    return sorted(lowest + (tone - lowest) % 12 for tone in tones)


def comp(
    rng: np.random.Generator, arrangement: Arrangement, section: SongSection, player: Player, sevenths: bool
) -> None:
    """Adds chords to `player` in one rhythm per section, strummed a little."""
    rhythm = RHYTHMS[rng.integers(len(RHYTHMS))]
    lowest = int(rng.integers(50, 58))
    strum = int(rng.uniform(0, 0.018) * RATE_HZ)
    for bar in range(section.first, section.first + section.bars):
        for onset, beats in rhythm:
            if onset < arrangement.beats_per_bar:
                beat = bar * arrangement.beats_per_bar + onset
                held = min(beats, arrangement.beats_per_bar - onset)
                velocity = float(np.clip(rng.normal(0.75, 0.08), 0.3, 1))
                for number, midi in enumerate(voicing(arrangement, beat, lowest, sevenths)):
                    player.play(beat, held, midi, velocity, late=number * strum)


def arpeggio(
    rng: np.random.Generator, arrangement: Arrangement, section: SongSection, player: Player
) -> None:
    """Adds the chord's tones to `player` one by one, in eighths or sixteenths, up, or up and down."""
    rate = int(rng.choice((2, 4)))
    lowest = int(rng.integers(57, 66))
    both = rng.random() < 0.5
    for bar in range(section.first, section.first + section.bars):
        tones = voicing(arrangement, bar * arrangement.beats_per_bar, lowest, sevenths=False)
        tones = [*tones, tones[0] + 12]
        order = tones + tones[-2:0:-1] if both else tones
        for step in range(arrangement.beats_per_bar * rate):
            beat = bar * arrangement.beats_per_bar + step / rate
            player.play(
                beat, 1.2 / rate, order[step % len(order)], float(np.clip(rng.normal(0.7, 0.1), 0.2, 1))
            )


def play_other(rng: np.random.Generator, arrangement: Arrangement) -> np.ndarray:
    """The stem, float32 (2, samples): comp, pad and lead, each with its level and position."""
    side = float(rng.choice((-1, 1)))
    struck, held, lead = (
        Player(
            timbres[rng.integers(len(timbres))](rng),
            arrangement,
            float(np.clip(position + rng.normal(0, 0.15), -0.9, 0.9)),
        )
        for timbres, position in ((STRUCK, 0.35 * side), (HELD, -0.3 * side), (LEADS, 0.1 * side))
    )
    sevenths, broken = rng.random() < 0.35, rng.random() < 0.45
    for section in arrangement.sections:
        if "comp" in section.playing:
            comp(rng, arrangement, section, struck, sevenths)
        if "pad" in section.playing and broken:
            arpeggio(rng, arrangement, section, held)
        elif "pad" in section.playing:
            for bar in range(section.first, section.first + section.bars):
                beat = bar * arrangement.beats_per_bar
                for midi in voicing(arrangement, beat, 55, sevenths):
                    held.play(beat, arrangement.beats_per_bar + 0.1, midi, 0.45)
        if "lead" in section.playing:
            for note in draw_melody(
                rng, arrangement, section, centre=float(rng.uniform(66, 80)), density=0.7
            ):
                lead.play(note.beat, note.beats, note.midi, note.velocity)
    return struck.stereo() + 0.7 * held.stereo() + 0.9 * lead.stereo()
