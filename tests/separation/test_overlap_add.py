import numpy as np
import pytest

from separation.contract import HTDEMUCS, Contract
from separation.grid import GridRule, cut, plan_sections
from separation.level import measure, normalize
from separation.overlap_add import StitchedStem, overlap_add, window
from separation.separator import collect
from tests.bags import separate_with

SHORT = Contract(44_100, 2, segment=20_001, stride=15_000, max_shift=14_000)
LENGTHS = [1, 2, 257_984, 257_985, 257_986, 343_979, 343_980, 343_981, 1_000_003]


def noise(length: int) -> np.ndarray:
    return (np.random.default_rng(length).standard_normal((2, length)) * 0.1).astype(np.float32)


def bend(segments: np.ndarray) -> np.ndarray:
    """A graph whose output depends on the position in the segment, so that overlapping chunks differ."""
    ramp = np.linspace(0.5, 1.5, segments.shape[-1], dtype=np.float32)
    return np.tanh(segments) * ramp


def rule(contract: Contract, overlap: float, shifts: tuple[int, ...]) -> GridRule:
    return GridRule(contract.segment, contract.stride_for(overlap), shifts)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("shifts", [(0,), (3, 22_050)])
def test_cut_and_stitch_are_the_identity(length: int, overlap: float, shifts: tuple[int, ...]) -> None:
    mix = noise(length)
    stems = separate_with(mix, {"vocals": lambda segments: segments}, rule(HTDEMUCS, overlap, shifts))
    np.testing.assert_allclose(collect(stems["vocals"]), mix, atol=5e-7)


@pytest.mark.parametrize("length", [1, 14_999, 15_001, 20_000, 20_002, 300_007])
@pytest.mark.parametrize("level", ["track", "none"])
def test_they_are_under_another_contract(length: int, level: str) -> None:
    contract = Contract(48_000, 2, segment=20_001, stride=15_000, max_shift=14_000, level=level)
    mix = noise(length) + np.float32(0.3)
    grid = rule(contract, 0.3, (0, 7))
    stems = separate_with(mix, {"vocals": lambda segments: segments}, grid, contract)
    np.testing.assert_allclose(collect(stems["vocals"]), mix, atol=5e-7)


@pytest.mark.parametrize("level", ["track", "none"])
def test_a_graph_gets_the_level_of_its_contract(level: str) -> None:
    def vocals(segments: np.ndarray) -> np.ndarray:
        seen.append(float(segments.std()))
        return segments

    seen: list[float] = []
    contract = Contract(44_100, 2, segment=20_001, stride=15_000, max_shift=0, level=level)
    separate_with(noise(100_000), {"vocals": vocals}, rule(contract, 0, (0,)), contract)
    expected = 0.1 if level == "none" else 2**0.5  # the mono mix of two independent channels is fainter
    assert seen[0] == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("contract", [HTDEMUCS, SHORT])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("shifts", [(0,), (3, 14_000)])
def test_sections_do_not_change_the_bits(contract: Contract, overlap: float, shifts: tuple[int, ...]) -> None:
    mix = noise(4 * contract.segment + 1)
    grid = rule(contract, overlap, shifts)
    whole = collect(separate_with(mix, {"vocals": bend}, grid, contract)["vocals"])
    level = measure(mix)
    flat = normalize(mix, level)
    for chunks_per_section in (1, 2, 5):
        sections = plan_sections(mix.shape[1], {"contract": grid}, chunks_per_section)
        totals = [overlap_add(s, (bend(cut(flat, chunk)) for chunk in s.chunks)) for s in sections]
        stitched = collect(StitchedStem(sections, totals.__getitem__, level))
        np.testing.assert_array_equal(stitched, whole)


@pytest.mark.parametrize("segment", [HTDEMUCS.segment, SHORT.segment])
def test_the_window_is_demucss_triangle(segment: int) -> None:
    weights = window(segment)
    assert weights.dtype == np.float32 and weights.shape == (segment,)
    assert weights[0] == np.float32(1) / np.float32(segment - segment // 2)
    assert weights[segment // 2] == weights.max() == 1
    np.testing.assert_array_equal(weights, weights[::-1])


def test_silence_stays_silent_and_one_sample_finite() -> None:
    silent = separate_with(np.zeros((2, 400_000), np.float32), {"vocals": lambda s: s + 1})
    assert not collect(silent["vocals"]).any()
    single = separate_with(np.full((2, 1), 0.5, np.float32), {"vocals": lambda s: s + 1})
    assert np.isfinite(collect(single["vocals"])).all()
