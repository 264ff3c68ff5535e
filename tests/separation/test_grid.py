import numpy as np
import pytest

from separation.contract import HTDEMUCS, Contract, htdemucs_contract
from separation.errors import UsageError
from separation.grid import Chunk, GridRule, context, cut, draw_shifts, plan_sections, uncut

SHORT = Contract(44_100, 2, segment=1_001, stride=400, max_shift=50)
SIZES = [(HTDEMUCS, length) for length in (1, 2, 257_984, 257_986, 343_979, 343_980, 343_981, 1_000_003)]
SIZES += [(SHORT, length) for length in (1, 399, 400, 401, 1_000, 1_001, 1_002, 5_003)]


def rule(contract: Contract = HTDEMUCS, overlap: float | None = None, *shifts: int) -> GridRule:
    return GridRule(contract.segment, contract.stride_for(overlap), shifts or (0,))


@pytest.mark.parametrize(("contract", "length"), SIZES)
@pytest.mark.parametrize("overlap", [None, 0, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("shift", [0, 1, "most"])
def test_every_sample_is_planned(
    contract: Contract, length: int, overlap: float | None, shift: int | str
) -> None:
    times = np.zeros(length, int)
    for chunk in rule(contract, overlap).chunks(
        length, contract.max_shift if shift == "most" else int(shift)
    ):
        assert 0 < chunk.length <= contract.segment == chunk.segment
        assert chunk.stop <= length
        times[max(0, chunk.start) : chunk.stop] += 1
    assert times.min() >= 1


def test_the_contract_of_htdemucs_is_as_demucs_computes_it() -> None:
    assert (HTDEMUCS.segment, HTDEMUCS.stride, HTDEMUCS.max_shift) == (343_980, 257_985, 22_050)
    assert HTDEMUCS.stride_for(0.25) == HTDEMUCS.stride_for(None) == HTDEMUCS.stride
    assert HTDEMUCS.stride_for(0.1) == int(0.9 * 343_980)
    assert htdemucs_contract(10).segment == 441_000


def test_sections_hold_all_chunks_of_all_grids_in_order() -> None:
    rules = {"long": rule(HTDEMUCS, None, 5, 9), "short": rule(SHORT)}
    length = 10 * HTDEMUCS.stride
    sections = plan_sections(length, rules, 4)
    assert [section.index for section in sections] == list(range(len(sections)))
    assert [section.shift for section in sections[:7]] == [0, 0, 0, 1, 1, 1, 0]
    assert [section.contract for section in sections[:7]] == ["long"] * 6 + ["short"]
    for contract, number, shift in (("long", 0, 5), ("long", 1, 9), ("short", 0, 0)):
        own = [each for each in sections if (each.contract, each.shift) == (contract, number)]
        assert [chunk for section in own for chunk in section.chunks] == rules[contract].chunks(length, shift)
        assert all(len(section.chunks) == 4 for section in own[:-1])
    assert len(plan_sections(length, rules)) == 3


def test_a_short_chunk_is_centred_among_the_tracks_own_samples() -> None:
    segment = HTDEMUCS.segment
    mix = np.arange(1, segment + 101, dtype=np.float32)[None]
    chunk = Chunk(segment, 100, segment)
    found = cut(mix, chunk)
    before = (segment - 100) // 2
    np.testing.assert_array_equal(found[:, : before + 100], mix[:, segment - before :])
    assert not found[:, before + 100 :].any()
    np.testing.assert_array_equal(uncut(found, chunk), mix[:, segment:])


@pytest.mark.parametrize("contract", [HTDEMUCS, SHORT])
def test_a_part_of_the_track_gives_the_same_segments(contract: Contract) -> None:
    mix = np.random.default_rng(0).standard_normal((2, 5 * contract.stride + 77)).astype(np.float32)
    for section in plan_sections(mix.shape[1], {"any": rule(contract, None, 23)}, 2):
        start, stop = context(section.chunks, mix.shape[1])
        for chunk in section.chunks:
            np.testing.assert_array_equal(cut(mix[:, start:stop], chunk, start), cut(mix, chunk))


def test_shifts_are_drawn_from_the_seed() -> None:
    assert draw_shifts(0, 1, 22_050) == (0,)
    assert draw_shifts(3, 1, 22_050) == draw_shifts(3, 1, 22_050) != draw_shifts(3, 2, 22_050)
    assert all(0 <= shift <= 50 for shift in draw_shifts(200, 0, 50))


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 1 - 1e-9, float("nan")])
def test_an_impossible_overlap_is_refused(overlap: float) -> None:
    with pytest.raises(UsageError, match="overlap"):
        HTDEMUCS.stride_for(overlap)
