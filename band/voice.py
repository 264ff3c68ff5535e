"""A singing voice: a glottal source and noise, each through a vocal tract that changes 86 times a second.

    pitch, effort ---> glottal pulses --+--x tract(formants) --+--> voice
                       breath ----------+                      |
                       noise -----------------x consonant -----+

Source and filter as in Klatt, "Software for a cascade/parallel formant synthesizer" (1980). The filters
are multiplied onto the spectra of half-overlapping frames instead of run as recursions.
"""

from dataclasses import dataclass, replace

import numpy as np

from band.arrangement import Arrangement, Note
from band.melody import draw_melody
from band.rate import RATE_HZ
from band.tone import midi_to_hz, pan, read_table, to_table

HOP = 512  # samples between frames
FRAME = 1024  # samples under the window; zero-padded to twice that for the filters' ringing
BINS = FRAME + 1
BANDWIDTHS = np.array([80.0, 100.0, 140.0, 220.0, 280.0])  # Hz, Klatt 1980 for the first three

# First three formants in Hz, men's averages: Peterson & Barney, "Control methods used in a study of the
# vowels" (1952). Women's lie about 17 % higher.
VOWELS = {
    "i": (270, 2290, 3010), "e": (530, 1840, 2480), "ae": (660, 1720, 2410), "a": (730, 1090, 2440),
    "o": (570, 840, 2410), "u": (300, 870, 2240), "uh": (640, 1190, 2390), "er": (490, 1350, 1690),
}  # fmt: skip
MURMUR = {"m": (250, 1000, 2200), "n": (250, 1450, 2300), "l": (360, 1000, 2600), "w": (300, 700, 2200),
          "d": (300, 1700, 2600), "r": (350, 1100, 1550)}  # fmt: skip

# Noise of unvoiced consonants: centre Hz, width Hz, seconds, level; the shapes after Klatt's tables.
NOISES = {
    "s": (7000, 1800, 0.10, 0.5), "sh": (3300, 1200, 0.10, 0.6), "f": (5500, 5000, 0.08, 0.2),
    "h": (1500, 1500, 0.06, 0.2), "t": (4500, 1800, 0.025, 0.8),
    "k": (2000, 700, 0.03, 0.8), "p": (900, 900, 0.02, 0.7),
}  # fmt: skip
CONSONANTS = (*NOISES, *MURMUR, *MURMUR, "", "")


@dataclass(frozen=True, slots=True)
class Singer:
    """`tract` scales a man's formants; `centre` is a comfortable MIDI pitch; vibrato in semitones, Hz."""

    tract: float
    centre: float
    open_quotient: float
    breath: float
    vibrato: float
    vibrato_hz: float
    glide_s: float
    upper: tuple[float, float]  # fourth and fifth formant, Hz


def draw_singer(rng: np.random.Generator) -> Singer:
    """A high voice or a low one."""
    high = rng.random() < 0.55
    tract = float(rng.uniform(1.1, 1.25) if high else rng.uniform(0.94, 1.06))
    return Singer(
        tract=tract,
        centre=float(rng.uniform(62, 71) if high else rng.uniform(51, 60)),
        open_quotient=float(rng.uniform(0.45, 0.75)),
        breath=float(rng.uniform(0.003, 0.035)),
        vibrato=float(rng.uniform(0.05, 0.5)),
        vibrato_hz=float(rng.uniform(4.8, 6.4)),
        glide_s=float(rng.uniform(0.012, 0.045)),
        upper=(3300 * tract * float(rng.uniform(0.9, 1.1)), 3750 * tract * float(rng.uniform(0.98, 1.15))),
    )


def glottal_table(singer: Singer, highest_hz: float) -> np.ndarray:
    """One period of the flow's derivative, a t^2 - b t^3 while the glottis is open (Klatt & Klatt, 1990).

    A table for `read_table` with one row, without harmonics above 16 kHz at `highest_hz`.
    """
    t = np.arange(4096) / 4096 / singer.open_quotient
    derivative = np.where(t < 1, 2 * t - 3 * t**2, 0)
    count = max(4, int(16_000 / highest_hz))
    spectrum = np.fft.rfft(derivative - derivative.mean())[1 : count + 1]
    table = to_table(np.abs(spectrum)[None].astype(np.float32), np.angle(spectrum))
    scaled: np.ndarray = table / np.abs(table).max()
    return scaled


def tract_response(formants: np.ndarray, highest: np.ndarray) -> np.ndarray:
    """Cascade of five resonators: (rows, 5) in Hz -> (rows, BINS) complex, each 1 at 0 Hz.

    `highest`, (BINS,), is the response of the formants above the fifth, which do not move.
    """
    z_inverse = np.exp(-2j * np.pi * np.arange(BINS) / (2 * FRAME)).astype(np.complex64)
    response = np.broadcast_to(highest, (len(formants), BINS)).copy()
    for column, width in enumerate(BANDWIDTHS):
        response *= resonator(formants[:, column : column + 1], width, z_inverse)
    return response


def resonator(hz: np.ndarray, width_hz: float | np.ndarray, z_inverse: np.ndarray) -> np.ndarray:
    """Klatt's resonator A / (1 - B z^-1 - C z^-2) on the unit circle: complex (..., BINS).

    `z_inverse` is z^-1 for each bin; A makes the response 1 at 0 Hz.
    """
    c = -np.exp(-2 * np.pi * np.asarray(width_hz) / RATE_HZ)
    b = 2 * np.exp(-np.pi * np.asarray(width_hz) / RATE_HZ) * np.cos(2 * np.pi * hz / RATE_HZ)
    b, c = np.asarray(b, np.float32), np.asarray(c, np.float32)
    response: np.ndarray = (1 - b - c) / (1 - b * z_inverse - c * z_inverse * z_inverse)
    return response


def upper_tract(tract: float) -> np.ndarray:
    """Formants six and up, one every 1000 Hz of a 17.5 cm tube; without them the treble dies: (BINS,)."""
    z_inverse = np.exp(-2j * np.pi * np.arange(BINS) / (2 * FRAME)).astype(np.complex64)
    hz = np.arange(5500, 21_000, 1000)[:, None] * min(tract, 1.04)
    response: np.ndarray = resonator(hz, 0.08 * hz, z_inverse).prod(0)
    return response


@dataclass(slots=True)
class Controls:
    """The voice's parameters in every frame: (frames,) unless said otherwise."""

    midi: np.ndarray
    effort: np.ndarray  # level of the glottal source
    breath: np.ndarray  # level of noise through the tract
    formants: np.ndarray  # (frames, 5) Hz
    consonant: np.ndarray  # index into NOISES
    noise: np.ndarray  # level of the consonant's noise


def draw_controls(
    rng: np.random.Generator, singer: Singer, arrangement: Arrangement, notes: list[Note]
) -> Controls:
    """One syllable per note: the vowel begins on the note's beat, the consonant just before it."""
    frames = arrangement.samples // HOP + 2
    names = list(NOISES)
    midi = np.full(frames, notes[0].midi if notes else 60, np.float32)
    effort, breath, noise = (np.zeros(frames, np.float32) for _ in range(3))
    consonant = np.zeros(frames, np.intp)
    formants = np.tile(to_formants(singer, VOWELS["uh"]), (frames, 1))
    for note in notes:
        start = arrangement.at(note.beat) // HOP
        stop = min(frames, start + max(4, arrangement.length(note.beats) // HOP))
        if start >= frames:
            continue
        vowel = to_formants(singer, VOWELS[str(rng.choice(list(VOWELS)))])
        # Sopranos open the jaw when the pitch passes the first formant (Sundberg, 1975).
        vowel[0] = max(vowel[0], 1.05 * midi_to_hz(note.midi))
        onset = CONSONANTS[rng.integers(len(CONSONANTS))]
        early = start
        if onset in NOISES:
            _, _, length_s, level = NOISES[onset]
            early = max(0, start - max(1, round(length_s * RATE_HZ / HOP)))
            consonant[early:start], noise[early:start] = names.index(onset), level * note.velocity
            effort[max(0, early - 3) : start] = 0  # the closure before a stop, the devoicing of a fricative
        elif onset:
            early = max(0, start - 5)
            formants[early:start] = to_formants(singer, MURMUR[onset])
            effort[early:start] = 0.35 * note.velocity
        midi[early:] = note.midi
        formants[start:] = vowel
        if rng.random() < 0.25:  # a diphthong closes towards i or u
            formants[start + (stop - start) // 2 : stop] = to_formants(
                singer, VOWELS[str(rng.choice(("i", "u")))]
            )
        shape = np.minimum(1, (stop - start - np.arange(stop - start)) / 8)
        effort[start:stop] = note.velocity * shape
        breath[start:stop] = singer.breath * shape
    return Controls(midi, glide(effort, 1.5), glide(breath, 1.5), glide(formants, 1.5), consonant, noise)


def to_formants(singer: Singer, three: tuple[int, int, int]) -> np.ndarray:
    """All five formants of the singer for a vowel given by its first `three`: (5,) in Hz."""
    return np.array([*(singer.tract * hz for hz in three), *singer.upper], np.float32)


def glide(track: np.ndarray, frames: float) -> np.ndarray:
    """`track` (frames, ...) smoothed by a Gaussian whose deviation is `frames`: an articulator has mass."""
    reach = max(1, int(3 * frames))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / frames) ** 2)
    padded = np.pad(track, [(reach, reach)] + [(0, 0)] * (track.ndim - 1), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    smooth: np.ndarray = (windows @ (weights / weights.sum())).astype(np.float32)
    return smooth


def draw_pitch(rng: np.random.Generator, singer: Singer, controls: Controls) -> np.ndarray:
    """Hz for each frame: notes joined by glides, vibrato that grows on held notes, and a slow drift."""
    midi = controls.midi
    frames = len(midi)
    changed = np.concatenate([[True], np.diff(midi) != 0])
    since = np.arange(frames) - np.maximum.accumulate(np.where(changed, np.arange(frames), 0))
    frame_s = HOP / RATE_HZ
    depth = singer.vibrato * np.clip((since * frame_s - 0.2) / 0.4, 0, 1)
    vibrato = depth * np.sin(
        2 * np.pi * singer.vibrato_hz * np.arange(frames) * frame_s + rng.uniform(0, 6.28)
    )
    drift = 0.6 * glide(rng.standard_normal(frames).astype(np.float32), 8) * 0.25
    glided: np.ndarray = glide(midi, singer.glide_s / frame_s) + vibrato + drift
    return midi_to_hz(glided)


def sing(rng: np.random.Generator, singer: Singer, arrangement: Arrangement, notes: list[Note]) -> np.ndarray:
    """`notes` sung by one voice: (samples,)."""
    controls = draw_controls(rng, singer, arrangement, notes)
    hz = draw_pitch(rng, singer, controls)
    frames = len(hz)
    length = (frames + 1) * HOP
    at = np.arange(length) / HOP - 1  # frame k is centred on sample k * HOP of the song
    source = read_table(glottal_table(singer, float(hz.max())), np.interp(at, np.arange(frames), hz), length)
    hiss = rng.standard_normal(length, dtype=np.float32)
    source *= np.interp(at, np.arange(frames), controls.effort)
    source += hiss * np.interp(at, np.arange(frames), controls.breath).astype(np.float32)
    active = np.flatnonzero((controls.effort > 1e-4) | (controls.noise > 0))

    # The same vocal tract in many frames is computed once: held vowels make most of a song.
    shapes, which = np.unique(np.rint(controls.formants[active] / 10), axis=0, return_inverse=True)
    tract = tract_response(shapes * 10, upper_tract(singer.tract))
    window = np.hanning(FRAME + 1)[:-1].astype(np.float32)
    voiced = np.lib.stride_tricks.sliding_window_view(source, FRAME)[active * HOP] * window
    spectra = np.fft.rfft(voiced, 2 * FRAME, axis=1) * tract[which.reshape(-1)]
    noisy = np.flatnonzero(controls.noise[active] > 0)
    frame = active[noisy]
    hisses = np.lib.stride_tricks.sliding_window_view(hiss, FRAME)[frame * HOP] * window
    shape = consonant_responses()[controls.consonant[frame]] * controls.noise[frame, None]
    spectra[noisy] += np.fft.rfft(hisses, 2 * FRAME, axis=1) * shape
    return overlap_add(np.fft.irfft(spectra, axis=1).astype(np.float32), active, frames)[
        HOP : HOP + arrangement.samples
    ]


def consonant_responses() -> np.ndarray:
    """Bell-shaped spectra of the unvoiced consonants, in the order of NOISES: (len(NOISES), BINS)."""
    hz = np.arange(BINS) * RATE_HZ / (2 * FRAME)
    return np.stack([0.5 / (1 + ((hz - centre) / width) ** 2) for centre, width, _, _ in NOISES.values()])


def overlap_add(pieces: np.ndarray, active: np.ndarray, frames: int) -> np.ndarray:
    """Frames (active, 2 * FRAME) added at their hops: ((frames + 4) * HOP,)."""
    canvas = np.zeros((frames + 4, HOP), np.float32)
    for quarter in range(2 * FRAME // HOP):
        canvas[active + quarter] += pieces[:, quarter * HOP : (quarter + 1) * HOP]
    return canvas.ravel()


def play_vocals(rng: np.random.Generator, arrangement: Arrangement) -> np.ndarray:
    """The stem, float32 (2, samples); its level is arbitrary.

    A lead voice, in some songs doubled left and right or joined by a third above in the choruses.
    """
    singer = draw_singer(rng)
    verses: list[Note] = []
    choruses: list[Note] = []
    for section in arrangement.sections_with("vocals"):
        chorus = section.name == "chorus"
        notes = draw_melody(
            rng, arrangement, section, singer.centre + (3 if chorus else 0), rng.uniform(0.3, 0.8)
        )
        (choruses if chorus else verses).extend(notes)
    stem = pan(
        sing(rng, singer, arrangement, sorted(verses + choruses, key=lambda note: note.beat)),
        rng.normal(0, 0.05),
    )
    extra = rng.random()
    if choruses and extra < 0.25:
        for side in (-0.6, 0.6):
            again = replace(singer, vibrato_hz=singer.vibrato_hz * rng.uniform(0.93, 1.07))
            stem += 0.45 * pan(sing(rng, again, arrangement, choruses), side)
    elif choruses and extra < 0.5:
        above = [
            replace(note, midi=arrangement.pitch(arrangement.step_near(note.midi) + 2)) for note in choruses
        ]
        stem += 0.5 * pan(sing(rng, draw_singer(rng), arrangement, above), rng.choice((-0.4, 0.4)))
    return stem
