"""A song from seed to stems: arrange, play, add a room, balance, master."""

import numpy as np

from band.arrangement import draw_arrangement
from band.bass import play_bass
from band.chords import play_other
from band.drums import play_drums
from band.rate import RATE_HZ
from band.room import add_room, draw_impulse, loudness, master_gain, saturate
from band.tone import rise
from band.voice import play_vocals

PLAYERS = {"drums": play_drums, "bass": play_bass, "other": play_other, "vocals": play_vocals}
LOW_HZ = {"drums": 28, "bass": 28, "other": 70, "vocals": 75}  # corner of each stem's high-pass
SILENCE = 1e-6  # -120 dB of full scale: fainter samples are a room's FFT rounding, and become exact zeros
WET = {"drums": 0.12, "bass": 0.02, "other": 0.2, "vocals": 0.22}  # typical level of the room
SPLITS = {
    "train": range(0, 1_000_000_000),
    "validation": range(1_000_000_000, 1_001_000_000),
    "test": range(1_001_000_000, 1_002_000_000),
}


def split(name: str) -> range:
    """The seeds of `train`, `validation` or `test`; no seed is in two of them."""
    if name not in SPLITS:
        raise ValueError(f"split {name!r}: expected one of {', '.join(SPLITS)}")
    return SPLITS[name]


def song(seed: int, seconds: float) -> dict[str, np.ndarray]:
    """Stems and `mix`, each (2, round(RATE_HZ * seconds)) float32; the stems sum to the mix, |mix| < 1.

    The same seed and length give the same bits on one machine. Each player has its own generator, so that
    a change to the drummer does not change the singer's notes.
    """
    samples = round(seconds * RATE_HZ)
    if samples < 1:
        raise ValueError(f"a song of {seconds} s: expected at least one sample (1/{RATE_HZ} s)")
    producer, *players = (np.random.default_rng([seed, number]) for number in range(1 + len(PLAYERS)))
    arrangement = draw_arrangement(producer, samples)
    impulse = draw_impulse(producer)
    stems = {}
    for (stem, play), player in zip(PLAYERS.items(), players, strict=True):
        dry = play(player, arrangement)
        dry = saturate(dry * np.float32(0.1 / max(loudness(dry), 1e-6)), drive=producer.uniform(0.3, 2))
        wet = WET[stem] * producer.uniform(0.3, 1.7)
        stems[stem] = add_room(dry, impulse, wet, LOW_HZ[stem], tilt_db=producer.uniform(-3, 3))
        level_db = float(np.clip(producer.normal(0, 2), -4, 4))
        stems[stem] *= np.float32(10 ** (level_db / 20) * 0.1 / max(loudness(stems[stem]), 1e-6))
        stems[stem][np.abs(stems[stem]) < SILENCE] = 0  # museval scores every second that is not all zeros
    return master(stems, loud_db=producer.uniform(-1, 8))


def master(stems: dict[str, np.ndarray], loud_db: float) -> dict[str, np.ndarray]:
    """The stems, (2, samples) each, under one common gain, and their sum as `mix`; the peak is at most 0.97.

    `loud_db` is the gain before the limiter.
    """
    mix = np.asarray(sum(stems.values())) * np.float32(10 ** (loud_db / 20))
    gain = master_gain(mix, ceiling=0.97) * np.float32(10 ** (loud_db / 20))
    edge = min(len(gain) // 2, RATE_HZ // 100)  # no clicks at the song's ends
    if edge:
        gain[:edge] *= rise(edge)
        gain[-edge:] *= rise(edge)[::-1]
    mastered = {stem: sound * gain for stem, sound in stems.items()}
    mastered["mix"] = np.sum([*mastered.values()], axis=0, dtype=np.float32)
    return mastered
