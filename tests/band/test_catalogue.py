import hashlib
from argparse import ArgumentTypeError

import numpy as np
import pytest
import soundfile

from band.catalogue import KINDS, Spec, draw_specs, resample, write_broken, write_catalogue
from band.rate import RATE_HZ
from separation.arguments import seconds_range


def test_files_are_what_their_specs_say(tmp_path):
    specs = draw_specs(len(KINDS), 0.5, 1.5, seed=4)
    paths = write_catalogue(tmp_path, 4, specs)
    assert len({path.suffix for path in paths}) == 4
    for spec, path in zip(specs, paths, strict=True):
        assert path == tmp_path / spec.name
        sound, rate = soundfile.read(path, always_2d=True)
        assert (rate, sound.shape[1]) == (spec.sample_rate, spec.channels)
        assert len(sound) / rate == pytest.approx(spec.seconds, abs=0.06)  # MP3 pads to its frames
        assert np.sqrt((sound**2).mean()) > 0.01
        if spec.subtype:
            assert soundfile.info(path).subtype == spec.subtype


def test_names_never_repeat_and_lengths_keep_their_limits():
    specs = draw_specs(3 * len(KINDS) + 1, 15, 40, seed=0)
    assert len({spec.name for spec in specs}) == len(specs) == 3 * len(KINDS) + 1
    assert all(15 <= spec.seconds <= 40 for spec in specs)


def test_a_catalogue_is_the_same_bytes_again(tmp_path):
    specs = [Spec("a.wav", 1.0), Spec("b.flac", 1.0, 48_000, 1, "PCM_24")]
    first, second = (write_catalogue(tmp_path / name, 9, specs) for name in ("one", "two"))
    digests = [[hashlib.sha256(path.read_bytes()).hexdigest() for path in paths] for paths in (first, second)]
    assert digests[0] == digests[1]


def test_the_broken_file_cannot_be_read(tmp_path):
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.read(write_broken(tmp_path))


def test_resampling_keeps_a_sine():
    t = np.arange(RATE_HZ) / RATE_HZ
    sine = np.sin(2 * np.pi * 1000 * t).astype(np.float32)[None]
    expected = np.sin(2 * np.pi * 1000 * np.arange(48_000) / 48_000)
    np.testing.assert_allclose(resample(sine, 48_000)[0], expected, atol=1e-4)


@pytest.mark.parametrize("text", ["0", "-3", "40-15", "long"])
def test_an_impossible_length_is_refused(text):
    with pytest.raises(ArgumentTypeError):
        seconds_range(text)
