import numpy as np
import pytest

from separation.contract import SEGMENT, STRIDE
from separation.grid import cut, plan_sections
from separation.level import measure, normalize
from separation.overlap_add import StitchedStem, overlap_add, window
from separation.separator import collect, separate

LENGTHS = [1, 2, STRIDE - 1, STRIDE, STRIDE + 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 1_000_003]


def noise(length: int) -> np.ndarray:
    return (np.random.default_rng(length).standard_normal((2, length)) * 0.1).astype(np.float32)


def bend(segments: np.ndarray) -> np.ndarray:
    """A specialist whose output depends on the position in the segment, so that overlapping chunks differ."""
    ramp = np.linspace(0.5, 1.5, SEGMENT, dtype=np.float32)
    return np.tanh(segments) * ramp


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("shifts", [(0,), (3, 22_050)])
def test_cut_and_stitch_are_the_identity(length: int, overlap: float, shifts: tuple[int, ...]) -> None:
    mix = noise(length)
    stems = separate(mix, {"vocals": lambda segments: segments}, overlap=overlap, shifts=shifts)
    np.testing.assert_allclose(collect(stems["vocals"]), mix, atol=5e-7)


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("shifts", [(0,), (3, 22_050)])
def test_sections_do_not_change_the_bits(overlap: float, shifts: tuple[int, ...]) -> None:
    mix = noise(1_500_001)
    whole = collect(separate(mix, {"vocals": bend}, overlap=overlap, shifts=shifts)["vocals"])
    level = measure(mix)
    flat = normalize(mix, level)
    for chunks_per_section in (1, 2, 5):
        sections = plan_sections(mix.shape[1], chunks_per_section, overlap, shifts)
        totals = [overlap_add(s, (bend(cut(flat, chunk)) for chunk in s.chunks)) for s in sections]
        stitched = collect(StitchedStem(sections, totals.__getitem__, level))
        if overlap <= 0.5:
            np.testing.assert_array_equal(stitched, whole)
        else:
            error = np.square(stitched - whole, dtype=np.float64).mean()
            assert error <= 1e-12 * np.square(whole, dtype=np.float64).mean()  # 120 dB


def test_the_window_is_demucss_triangle() -> None:
    assert window().dtype == np.float32
    assert window()[0] == np.float32(1) / np.float32(SEGMENT // 2)
    assert window()[SEGMENT // 2 - 1] == window()[SEGMENT // 2] == 1
    np.testing.assert_array_equal(window(), window()[::-1])


def test_silence_stays_silent_and_one_sample_finite() -> None:
    silent = separate(np.zeros((2, 400_000), np.float32), {"vocals": lambda s: s + 1})
    assert not collect(silent["vocals"]).any()
    single = separate(np.full((2, 1), 0.5, np.float32), {"vocals": lambda s: s + 1})
    assert np.isfinite(collect(single["vocals"])).all()
