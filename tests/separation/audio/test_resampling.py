import numpy as np
import pytest
import soxr

from separation.audio.resampling import PIECE_S, Pieces, resample
from tests.sounds import RATE

RATES = [8_000, 11_025, 22_050, 32_000, 44_099, 48_000, 88_200, 96_000, 192_000]


def noise(rate: int, samples: int) -> np.ndarray:
    return np.random.default_rng(rate).normal(0, 0.1, (2, samples)).astype(np.float32)


def run(
    audio: np.ndarray,
    rate: int,
    start: int = 0,
    stop: int | None = None,
    block: int = 7_001,
    sample_rate: int = RATE,
) -> np.ndarray:
    pieces = Pieces(rate, start, stop, sample_rate)
    end = audio.shape[1] if pieces.input_stop is None else min(pieces.input_stop, audio.shape[1])
    blocks = (audio[:, at : min(at + block, end)] for at in range(pieces.input_start, end, block))
    return np.concatenate([np.zeros((2, 0), np.float32), *resample(blocks, pieces)], axis=1)


@pytest.mark.parametrize("rate", RATES)
def test_pieces_equal_the_track_resampled_in_one_go(rate: int) -> None:
    audio = noise(rate, 2 * PIECE_S * rate + rate // 3)
    whole = soxr.resample(audio.T, rate, RATE, quality="VHQ").T
    # 44,099 Hz has no small ratio to 44,100: soxr interpolates its filter, and piece starts show at -95 dB
    np.testing.assert_allclose(run(audio, rate), whole, rtol=0, atol=3e-5 if rate == 44_099 else 1e-7)


@pytest.mark.parametrize("rate", [8_000, 48_000, 44_099])
@pytest.mark.parametrize("samples", [1, 2, 100])
def test_a_track_that_ends_just_after_a_piece(rate: int, samples: int) -> None:
    audio = noise(rate, PIECE_S * rate + samples)
    whole = soxr.resample(audio.T, rate, RATE, quality="VHQ").T
    assert run(audio, rate).shape == whole.shape


@pytest.mark.parametrize("rate", RATES)
def test_a_range_has_the_bits_of_the_whole(rate: int) -> None:
    audio = noise(rate, 3 * PIECE_S * rate - 5)
    whole = run(audio, rate)
    seam = PIECE_S * RATE
    end = whole.shape[1]
    for start, stop in [(0, 1), (seam - 1, seam + 1), (seam, 2 * seam), (end - 3, end), (end - 3, end + 9)]:
        part = run(audio, rate, start, stop, block=rate)
        assert np.array_equal(part, whole[:, start:stop]), (start, stop)


@pytest.mark.parametrize("sample_rate", [16_000, 48_000, 96_000])
def test_the_pieces_of_another_rate_of_the_output(sample_rate: int) -> None:
    audio = noise(RATE, 2 * PIECE_S * RATE + 12_345)
    whole = run(audio, RATE, sample_rate=sample_rate)
    once = soxr.resample(audio.T, RATE, sample_rate, quality="VHQ").T
    np.testing.assert_allclose(whole, once, rtol=0, atol=1e-7)
    seam = PIECE_S * sample_rate
    part = run(audio, RATE, seam - 3, seam + 3, sample_rate=sample_rate)
    assert np.array_equal(part, whole[:, seam - 3 : seam + 3])


def test_a_range_asks_for_no_more_input_than_its_pieces_and_their_margins() -> None:
    pieces = Pieces(48_000, 25 * RATE, 27 * RATE, RATE)
    assert (pieces.input_start, pieces.input_stop) == (19 * 48_000, 31 * 48_000)


def test_a_range_behind_the_end_is_empty() -> None:
    audio = noise(48_000, 48_000)
    assert run(audio, 48_000, 10**6, 10**6 + 5).shape == (2, 0)
    assert run(audio, 48_000, 50_000, 60_000).shape == (2, 0)
