import numpy as np
import pytest

from separation.level import Level, LevelMeter, normalize, peak, restore


def level_of(mix: np.ndarray, block: int | None = None) -> Level:
    meter = LevelMeter()
    for start in range(0, mix.shape[1], block or max(1, mix.shape[1])):
        meter.add(mix[:, start : start + (block or mix.shape[1])])
    assert meter.samples == mix.shape[1]
    return meter.level()


def noise(samples: int, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(samples)
    return rng.normal(offset, 0.2, (2, samples)).astype(np.float32)


@pytest.mark.parametrize("samples", [2, 1_001, 65_536, 65_537, 300_001])
def test_the_level_is_the_mono_mix_s_mean_and_unbiased_deviation(samples: int) -> None:
    mix = noise(samples, offset=0.1)
    level = level_of(mix)
    mono = mix.astype(np.float64).mean(axis=0)
    assert level.mean == pytest.approx(mono.mean(), rel=1e-12)
    assert level.std == pytest.approx(mono.std(ddof=1), rel=1e-12)
    assert level.peak == np.abs(mix).max()


@pytest.mark.parametrize("block", [1_000, 65_535, 65_536, 65_537, 200_000])
def test_the_level_has_the_same_bits_however_the_mix_is_split(block: int) -> None:
    mix = noise(300_001)
    assert level_of(mix, block) == level_of(mix)


def test_a_large_offset_does_not_swallow_a_quiet_signal() -> None:
    quiet = np.tile(np.float32([[0.9, 0.9 + 1e-6]]), (2, 500_000))
    mono = quiet.astype(np.float64).mean(axis=0)
    assert level_of(quiet).std == pytest.approx(mono.std(ddof=1), rel=1e-9)


def test_restore_is_the_inverse_of_flatten() -> None:
    mix = noise(10_000, offset=0.1)
    level = level_of(mix)
    normalized = normalize(mix, level)
    assert normalized.dtype == np.float32
    assert normalized.mean() == pytest.approx(0, abs=1e-6)
    assert normalized.mean(axis=0).std(ddof=1) == pytest.approx(1, rel=1e-5)
    restored = restore(normalized, level)
    assert restored.dtype == np.float32
    np.testing.assert_allclose(restored, mix, atol=2e-7)


def test_silence_comes_out_silent_whatever_the_model_says() -> None:
    level = level_of(np.zeros((2, 100_000), np.float32))
    assert level == Level(100_000, 0.0, 0.0, 0.0)
    assert not normalize(np.zeros((2, 10), np.float32), level).any()
    assert not restore(noise(10), level).any()


def test_channels_that_cancel_are_not_taken_for_silence() -> None:
    left = noise(1_000)[:1]
    mix = np.concatenate([left, -left])
    level = level_of(mix)
    assert (level.mean, level.std) == (0.0, 0.0)
    np.testing.assert_allclose(restore(normalize(mix, level), level), mix, rtol=1e-6)


def test_one_sample_stays_finite() -> None:
    mix = np.float32([[0.5], [0.25]])
    level = level_of(mix)
    assert level.std == 0.0
    assert np.isfinite(normalize(mix, level)).all()
    np.testing.assert_allclose(restore(normalize(mix, level), level), mix)


def test_an_empty_meter_reads_zero() -> None:
    assert LevelMeter().level() == Level(0, 0.0, 0.0, 0.0)


def test_peak_sees_both_signs() -> None:
    assert peak(np.float32([[0.1, -0.75], [0.5, 0.0]])) == 0.75
    assert peak(np.zeros((2, 0), np.float32)) == 0.0
