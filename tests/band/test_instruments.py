"""What each instrument promises, measured on its sound."""

from itertools import pairwise

import numpy as np
import pytest

from band import bass, chords
from band.arrangement import Note, draw_arrangement
from band.rate import RATE_HZ
from band.tone import fade, midi_to_hz
from band.voice import draw_singer, sing

TIMBRES = {maker.__name__: maker for maker in (*bass.TIMBRES, *chords.STRUCK, *chords.HELD, *chords.LEADS)}


def period_of(sound: np.ndarray, near_hz: float) -> float:
    """The strongest repetition, in Hz, within a whole tone of `near_hz`."""
    size = 1 << (2 * len(sound)).bit_length()
    again = np.fft.irfft(np.abs(np.fft.rfft(sound, size)) ** 2)
    lags = np.arange(int(RATE_HZ / near_hz / 1.12), int(RATE_HZ / near_hz * 1.12) + 2)
    return RATE_HZ / lags[again[lags].argmax()]


@pytest.mark.parametrize("name", TIMBRES)
@pytest.mark.parametrize("midi", [33, 57, 84])
def test_a_timbre_sounds_at_its_pitch_and_ends_in_silence(name, midi):
    length = RATE_HZ // 2
    sound = TIMBRES[name](np.random.default_rng(1))(midi_to_hz(midi), length)
    assert sound.shape == (length,)
    assert np.isfinite(sound).all()
    assert abs(sound[0]) < 1e-3 and abs(sound[-1]) < 1e-3
    middle = sound[2_000:-6_000]
    cents = 1200 * np.log2(period_of(middle, midi_to_hz(midi)) / midi_to_hz(midi))
    assert abs(cents) < 45  # within half a semitone: a lag is a whole number of samples


def test_bass_stays_in_its_range_and_in_the_scale():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        arrangement = draw_arrangement(rng, 20 * RATE_HZ)
        allowed = {(arrangement.tonic + step) % 12 for step in arrangement.scale}
        for section in arrangement.sections:
            for note in bass.draw_line(rng, arrangement, section):
                assert 26 <= note.midi <= 54
                assert note.midi % 12 in allowed


@pytest.mark.parametrize("seconds", [2, 9, 60, 300])
def test_a_form_covers_the_song_and_every_stem_plays_in_it(seconds):
    for seed in range(200):
        arrangement = draw_arrangement(np.random.default_rng(seed), seconds * RATE_HZ)
        assert arrangement.sections[0].first == 0
        for one, after in pairwise(arrangement.sections):
            assert one.first + one.bars == after.first
        last = arrangement.sections[-1]
        assert arrangement.at((last.first + last.bars) * arrangement.beats_per_bar) >= arrangement.samples
        heard = frozenset().union(*(section.playing for section in arrangement.sections))
        assert {"drums", "bass", "vocals"} <= heard and heard & {"comp", "pad", "lead"}


def test_a_singer_sings_the_note_and_rests():
    arrangement = draw_arrangement(np.random.default_rng(0), 4 * RATE_HZ)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        beats = arrangement.bpm / 60
        sound = sing(rng, draw_singer(rng), arrangement, [Note(0.5 * beats, 1.5 * beats, 60, 0.8)])
        assert sound.shape == (arrangement.samples,)
        held = sound[int(0.9 * RATE_HZ) : int(1.7 * RATE_HZ)]
        assert abs(1200 * np.log2(period_of(held, midi_to_hz(60)) / midi_to_hz(60))) < 60
        rest = sound[int(2.6 * RATE_HZ) :]
        assert np.abs(rest).max() < 1e-3 * np.abs(held).max()


@pytest.mark.parametrize("length", [1, 15, 16, 17, 100])
def test_fade_takes_any_length(length):
    assert np.abs(fade(np.ones(length, np.float32), 0.01, 0.01)).max() <= 1
