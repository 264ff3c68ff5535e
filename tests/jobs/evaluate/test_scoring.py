"""A track's scores, whose files are decoded in their own processes; no Ray."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.evaluate import scoring
from jobs.evaluate.layout import find_tracks, pair
from tests.sounds import RATE
from tests.stores import STORE

TWO = ("drums", "bass")


def test_a_stem_that_cannot_be_decoded_is_a_row_and_the_others_are_scored(tmp_path: Path) -> None:
    sounds = np.random.default_rng(0).uniform(-0.5, 0.5, (len(TWO), RATE, 2))
    for folder, level in (("true", 1.0), ("guess", 0.9)):
        (tmp_path / folder / "song").mkdir(parents=True)
        for stem, sound in zip(TWO, sounds, strict=True):
            soundfile.write(tmp_path / folder / f"song/{stem}.wav", level * sound, RATE, "FLOAT")
    (tmp_path / "guess/song/bass.wav").write_bytes(b"no audio")
    sets = {"guess": find_tracks(str(tmp_path / "guess"), STORE)}
    pairs, _ = pair(find_tracks(str(tmp_path / "true"), STORE), sets, baseline=False)
    rows = scoring.score(scoring.pairs_table(pairs), TWO, STORE).to_pylist()
    failed = [row for row in rows if row["status"] == "error"]
    assert {(row["stem"], "not_audio" in row["reason"]) for row in failed} == {("bass", True)}
    (drums,) = [row for row in rows if row["status"] == "ok" and row["metric"] == "si_sdr"]
    assert drums["stem"] == "drums" and drums["score_db"] > 60


def write_song(folder: Path, sounds: dict[str, np.ndarray], rate: int) -> Path:
    """Stems (samples, 2) of one song."""
    (folder / "song").mkdir(parents=True)
    for stem, sound in sounds.items():
        soundfile.write(folder / f"song/{stem}.wav", sound, rate, "FLOAT")
    return folder


def scored(reference: Path, guess: Path, stems: tuple[str, ...]) -> list[dict[str, object]]:
    sets = {"guess": find_tracks(str(guess), STORE)}
    pairs, _ = pair(find_tracks(str(reference), STORE), sets, baseline=False)
    return scoring.score(scoring.pairs_table(pairs), stems, STORE).to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("rate", [16_000, RATE, 48_000])
@pytest.mark.parametrize("theirs", [16_000, RATE, 48_000])
@pytest.mark.parametrize("samples", [3 * RATE, 3 * RATE + 12_347])
def test_an_estimate_is_scored_at_the_rate_of_its_reference(
    rate: int, theirs: int, samples: int, tmp_path: Path
) -> None:
    def sounds(at: int) -> dict[str, np.ndarray]:
        seconds = np.arange(round(samples / RATE * at)) / at
        hertz = {"drums": 330, "bass": 110, "guitar": 880, "piano": 1_760}
        return {
            stem: np.stack([np.sin(f * 6 * seconds), np.cos(f * 6 * seconds)], 1) for stem, f in hertz.items()
        }

    reference = write_song(tmp_path / "true", sounds(rate), rate)
    guess = write_song(tmp_path / "guess", sounds(theirs), theirs)
    rows = scored(reference, guess, ("drums", "bass", "guitar", "piano"))
    assert len(rows) == 8
    for row in rows:
        assert row["status"] == "ok", row["reason"]
        assert row["duration_s"] == pytest.approx(samples / RATE, abs=1e-4)
        assert row["frames"] == 3
        assert row["score_db"] > 30  # type: ignore[operator]  # the filter's ends; a sample's delay has 25 dB


def test_stems_of_another_length_than_the_first_are_told(tmp_path: Path) -> None:
    sounds = {"drums": np.ones((3 * RATE, 2)) / 9, "bass": np.ones((2 * RATE, 2)) / 9}
    reference = write_song(tmp_path / "true", sounds, RATE)
    guess = write_song(tmp_path / "guess", {stem: sound / 2 for stem, sound in sounds.items()}, RATE)
    rows = scored(reference, guess, TWO)
    assert [(row["stem"], row["status"]) for row in rows if row["metric"] == "sdr"] == [
        ("drums", "ok"),
        ("bass", "error"),
    ]
    assert "bass has 2.00 s, its drums 3.00 s" in str(rows[2]["reason"])
