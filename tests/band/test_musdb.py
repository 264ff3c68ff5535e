from pathlib import Path

import numpy as np
import soundfile

from band.musdb import write_split
from band.rate import RATE_HZ
from band.song import PLAYERS, split


def test_a_split_with_its_stems(tmp_path: Path) -> None:
    first, second = write_split(tmp_path, "test", 2, (1.0, 2.0), first=3)
    assert first == tmp_path / f"test/Band - Song {split('test')[3]}"
    lengths = set()
    for song in (first, second):
        sounds = {path.stem: soundfile.read(path, dtype="float32") for path in song.iterdir()}
        assert set(sounds) == {"mixture", *PLAYERS}
        assert {rate for _, rate in sounds.values()} == {RATE_HZ}
        stems = np.sum([sounds[stem][0] for stem in PLAYERS], axis=0)
        np.testing.assert_allclose(stems, sounds["mixture"][0], atol=1e-6)
        lengths.add(len(stems) / RATE_HZ)
    assert len(lengths) == 2 and all(1 <= seconds <= 2 for seconds in lengths)
