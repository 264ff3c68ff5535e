"""A track's scores, whose files are decoded in their own processes; no Ray."""

from pathlib import Path

import numpy as np
import soundfile

from jobs.evaluate import scoring
from jobs.evaluate.layout import find_tracks, pair
from separation.contract import SAMPLE_RATE
from tests.stores import STORE

STEMS = ("drums", "bass")


def test_a_stem_that_cannot_be_decoded_is_a_row_and_the_others_are_scored(tmp_path: Path) -> None:
    sounds = np.random.default_rng(0).uniform(-0.5, 0.5, (len(STEMS), SAMPLE_RATE, 2))
    for folder, level in (("true", 1.0), ("guess", 0.9)):
        (tmp_path / folder / "song").mkdir(parents=True)
        for stem, sound in zip(STEMS, sounds, strict=True):
            soundfile.write(tmp_path / folder / f"song/{stem}.wav", level * sound, SAMPLE_RATE, "FLOAT")
    (tmp_path / "guess/song/bass.wav").write_bytes(b"no audio")
    sets = {"guess": find_tracks(str(tmp_path / "guess"), STORE)}
    pairs, _ = pair(find_tracks(str(tmp_path / "true"), STORE), sets, baseline=False)
    rows = scoring.score(scoring.pairs_table(pairs), STEMS, STORE).to_pylist()
    failed = [row for row in rows if row["status"] == "error"]
    assert {(row["stem"], "not_audio" in row["reason"]) for row in failed} == {("bass", True)}
    (drums,) = [row for row in rows if row["status"] == "ok" and row["metric"] == "si_sdr"]
    assert drums["stem"] == "drums" and drums["score_db"] > 60
