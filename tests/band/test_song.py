import numpy as np
import pytest

from band.rate import RATE_HZ
from band.room import loudness, master_gain
from band.song import PLAYERS, SPLITS, song, split

SEEDS = range(100, 116)
SECONDS = 6.0


@pytest.fixture(scope="module")
def songs() -> list[dict[str, np.ndarray]]:
    return [song(seed, SECONDS) for seed in SEEDS]


def test_stems_sum_to_the_mix(songs):
    for parts in songs:
        total = sum(parts[stem].astype(np.float64) for stem in PLAYERS)
        np.testing.assert_allclose(parts["mix"], total, rtol=0, atol=1e-6)


def test_samples_are_finite_centred_and_below_full_scale(songs):
    for parts in songs:
        for sound in parts.values():
            assert sound.dtype == np.float32
            assert np.isfinite(sound).all()
            assert abs(sound.mean(dtype=np.float64)) < 5e-4
        assert np.abs(parts["mix"]).max() <= 0.98


def test_stems_are_balanced_and_nearly_always_audible(songs):
    quiet = []
    for seed, parts in zip(SEEDS, songs, strict=True):
        levels_db = {stem: 20 * np.log10(loudness(parts[stem]) + 1e-9) for stem in PLAYERS}
        assert max(levels_db.values()) - min(levels_db.values()) < 12, (seed, levels_db)
        # Audible: more than a tenth of the song within 30 dB of the mix.
        for stem in PLAYERS:
            blocks = parts[stem][:, : int(SECONDS) * RATE_HZ].reshape(2, -1, RATE_HZ // 10)
            heard = np.sqrt((blocks**2).mean((0, 2))) > loudness(parts["mix"]) / 32
            if heard.mean() < 0.1:
                quiet.append((seed, stem))
    assert len(quiet) <= len(SEEDS) * len(PLAYERS) // 20, quiet


def test_a_resting_player_is_digitally_silent():
    rests = 0
    for seed in SEEDS:
        for stem, sound in song(seed, 20.0).items():
            for second in np.split(sound, 20, axis=1):
                if np.abs(second).max() < 1e-5:
                    assert not second.any(), (seed, stem)
                    rests += 1
    assert rests > 10


def test_no_stem_is_another(songs):
    for parts in songs:
        for one in PLAYERS:
            for other in PLAYERS:
                if one < other:
                    assert abs(np.corrcoef(parts[one].ravel(), parts[other].ravel())[0, 1]) < 0.3


def test_a_seed_is_one_song(songs):
    again = song(SEEDS[0], SECONDS)
    for name, sound in songs[0].items():
        np.testing.assert_array_equal(sound, again[name])
    assert not np.array_equal(songs[0]["mix"], songs[1]["mix"])


@pytest.mark.parametrize("samples", [1, 2, 7, 53, 441, 4_409, 12_345, 44_101])
def test_any_length_is_exact(samples):
    parts = song(3, samples / RATE_HZ)
    assert set(parts) == {*PLAYERS, "mix"}
    assert {sound.shape for sound in parts.values()} == {(2, samples)}
    assert all(np.isfinite(sound).all() for sound in parts.values())


def test_no_length_is_refused():
    with pytest.raises(ValueError, match="at least one sample"):
        song(0, 0.0)


def test_splits_are_disjoint():
    ranges = [split(name) for name in SPLITS]
    for one in ranges:
        for other in ranges:
            assert one is other or one.stop <= other.start or other.stop <= one.start
    with pytest.raises(ValueError, match="'tset'"):
        split("tset")


def test_master_gain_holds_a_single_loud_sample():
    mix = np.full((2, 50_001), 0.1, np.float32)
    for loud in (0, 63, 64, 20_000, 20_031, 50_000):
        mix[1, loud] = -3
    gain = master_gain(mix, ceiling=0.5)
    assert gain.max() <= 1
    assert np.abs(mix * gain).max() <= 0.5 + 1e-6
    assert gain[10_000] == pytest.approx(1)  # far from the peaks nothing is turned down
