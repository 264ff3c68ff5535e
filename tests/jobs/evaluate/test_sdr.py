"""SDR against museval's own figures (museval/record.py), SI-SDR against its definition."""

import json
import math
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from jobs.evaluate import sdr
from jobs.evaluate.sdr import Comparison, LengthsDiffer, frame_sdr, median, si_sdr
from tests.jobs.evaluate.museval.cases import RATE, Stems, cases, leaky, music, noise

RECORDED = json.loads(Path(__file__).with_name("museval").joinpath("scores.json").read_text())["sdr_db"]
CASES = cases()


def in_pieces(sound: np.ndarray, size: int) -> Iterator[np.ndarray]:
    yield from (sound[:, start : start + size] for start in range(0, sound.shape[1], size))


def compare(reference: Iterable[np.ndarray], estimate: Iterable[np.ndarray], **more: float) -> Comparison:
    return sdr.compare(reference, estimate, RATE, **more)  # type: ignore[arg-type]


def scored(references: Stems, estimates: Stems) -> dict[str, np.ndarray]:
    """Each side in blocks of its own."""
    return frame_sdr(
        {
            stem: compare(in_pieces(references[stem], 10_007), in_pieces(estimates[stem], 65_536))
            for stem in references
        }
    )


def test_every_case_is_recorded() -> None:
    assert set(RECORDED) == set(CASES)
    assert any(value is None for value in RECORDED["with silent and opposed channels"]["drums"])


@pytest.mark.parametrize("name", CASES)
def test_sdr_is_musevals(name: str) -> None:
    ours = scored(*CASES[name])
    for stem in ours:
        theirs = np.array([math.nan if value is None else value for value in RECORDED[name][stem]])
        np.testing.assert_allclose(ours[stem], theirs, rtol=0, atol=0.01)  # NaN equals NaN here
        assert median(ours[stem]) == pytest.approx(np.nanmedian(theirs), abs=0.01)


def test_a_silent_frame_counts_for_no_stem() -> None:
    references, estimates = CASES["with silent and opposed channels"]
    frames = scored(references, estimates)
    assert {tuple(np.flatnonzero(np.isnan(each))) for each in frames.values()} == {(1, 2, 3)}
    alone = scored({"bass": references["bass"]}, {"bass": estimates["bass"]})
    assert list(np.flatnonzero(np.isnan(alone["bass"]))) == [3]


def test_a_perfect_estimate_and_a_silent_one() -> None:
    sound = music(2 * RATE)["vocals"]
    perfect, silent = compare([sound], [sound]), compare([sound], [0 * sound])
    assert median(frame_sdr({"vocals": perfect})["vocals"]) == math.inf
    assert si_sdr(perfect) > 140
    assert math.isnan(median(frame_sdr({"vocals": silent})["vocals"]))
    assert math.isnan(si_sdr(silent))


def test_si_sdr_by_its_definition() -> None:
    references = music(2 * RATE + 999)
    for stem, estimate in leaky(references).items():
        true, guess = references[stem].astype(np.float64).ravel(), estimate.astype(np.float64).ravel()
        target = (true @ guess) / (true @ true) * true
        expected = 10 * math.log10(np.sum(target**2) / np.sum((guess - target) ** 2))
        assert si_sdr(compare([references[stem]], [estimate])) == pytest.approx(expected, abs=1e-6)


def test_si_sdr_knows_no_level_and_sdr_does() -> None:
    sound = music(2 * RATE)["other"]
    estimate = sound + np.float32(0.01) * noise(2 * RATE, 3).astype(np.float32)
    same, quieter = compare([sound], [estimate]), compare([sound], [0.5 * estimate])
    restored = compare([sound], [0.5 * estimate], gain=2.0)
    assert si_sdr(quieter) == pytest.approx(si_sdr(same), abs=1e-3)
    sdr_db = [median(frame_sdr({"other": each})["other"]) for each in (same, quieter, restored)]
    assert sdr_db[1] < 7 < 15 < sdr_db[0] == pytest.approx(sdr_db[2], abs=1e-3)


@pytest.mark.parametrize("missing", [1, RATE, 2 * RATE + 5])
def test_lengths_that_differ(missing: int) -> None:
    sound = music(3 * RATE)["bass"]
    for pair in ((sound, sound[:, :-missing]), (sound[:, :-missing], sound)):
        with pytest.raises(LengthsDiffer) as caught:
            compare(*(in_pieces(side, 50_000) for side in pair))
        assert (caught.value.reference, caught.value.estimate) == tuple(side.shape[1] for side in pair)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize("length", [3 * RATE, 3 * RATE + 1, 3 * RATE - 1, 2 * RATE + 555])
@pytest.mark.parametrize("more", [-3, -1, 1, 3])
def test_a_resampled_estimate_may_be_a_few_samples_longer_or_shorter(length: int, more: int) -> None:
    sound = music(length)["other"]
    estimate = sound + np.float32(0.01) * noise(length, 3).astype(np.float32)
    as_long = compare([sound], [estimate])
    guess = np.pad(estimate, ((0, 0), (0, 3)))[:, : length + more]
    found = compare(in_pieces(sound, 50_000), in_pieces(guess, 30_011), slack=3)
    assert found.samples == length
    assert found.energy.shape == as_long.energy.shape == (length // RATE,)
    assert si_sdr(found) == pytest.approx(si_sdr(as_long), abs=0.01)
    with pytest.raises(LengthsDiffer):
        compare(in_pieces(sound, 50_000), in_pieces(guess, 30_011), slack=abs(more) - 1)


def test_a_frame_is_a_second_of_the_sample_rate() -> None:
    sound = music(4 * 16_000)["bass"]
    assert sdr.compare([sound], [sound], 16_000).energy.shape == (4,)
    assert sdr.compare([sound], [sound], 48_000).energy.shape == (1,)


def test_memory_does_not_grow_with_the_track() -> None:
    """Half an hour from one block over and over: a whole side would be 635 MB."""
    block = noise(RATE, 4).astype(np.float32)
    read = 0

    def blocks(ahead: int) -> Iterator[np.ndarray]:
        nonlocal read
        for number in range(1800):
            read += ahead
            assert abs(read) <= 1, f"one side is {read} blocks ahead at {number}"
            yield block

    assert compare(blocks(1), blocks(-1)).samples == 1800 * RATE
