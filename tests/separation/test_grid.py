import numpy as np
import pytest

from separation.contract import MAX_SHIFT, SEGMENT, STRIDE
from separation.errors import UsageError
from separation.grid import Chunk, context, cut, draw_shifts, plan_chunks, plan_sections, stride_of, uncut

LENGTHS = [1, 2, STRIDE - 1, STRIDE, STRIDE + 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 2 * STRIDE, 1_000_003]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("shift", [0, 1, MAX_SHIFT])
def test_every_sample_is_planned(length: int, overlap: float, shift: int) -> None:
    times = np.zeros(length, int)
    for chunk in plan_chunks(length, stride_of(overlap), shift):
        assert 0 < chunk.length <= SEGMENT
        assert chunk.stop <= length
        times[max(0, chunk.start) : chunk.stop] += 1
    assert times.min() >= 1


def test_the_default_stride_is_the_contracts() -> None:
    assert stride_of(0.25) == STRIDE


def test_sections_hold_all_chunks_of_all_grids_in_order() -> None:
    sections = plan_sections(10 * STRIDE, 4, shifts=(5, 9))
    assert [section.index for section in sections] == list(range(6))
    assert [section.shift for section in sections] == [0, 0, 0, 1, 1, 1]
    for number, shift in enumerate((5, 9)):
        grid = [chunk for section in sections if section.shift == number for chunk in section.chunks]
        assert grid == plan_chunks(10 * STRIDE, STRIDE, shift)


def test_a_short_chunk_is_centred_among_the_tracks_own_samples() -> None:
    mix = np.arange(1, SEGMENT + 101, dtype=np.float32)[None]
    chunk = Chunk(SEGMENT, 100)
    segment = cut(mix, chunk)
    before = (SEGMENT - 100) // 2
    np.testing.assert_array_equal(segment[:, : before + 100], mix[:, SEGMENT - before :])
    assert not segment[:, before + 100 :].any()
    np.testing.assert_array_equal(uncut(segment, chunk), mix[:, SEGMENT:])


def test_a_part_of_the_track_gives_the_same_segments() -> None:
    mix = np.random.default_rng(0).standard_normal((2, 5 * STRIDE + 77)).astype(np.float32)
    for section in plan_sections(mix.shape[1], 2, shifts=(123,)):
        start, stop = context(section.chunks, mix.shape[1])
        for chunk in section.chunks:
            np.testing.assert_array_equal(cut(mix[:, start:stop], chunk, start), cut(mix, chunk))


def test_shifts_are_drawn_from_the_seed() -> None:
    assert draw_shifts(0, 1) == (0,)
    assert draw_shifts(3, 1) == draw_shifts(3, 1) != draw_shifts(3, 2)
    assert all(0 <= shift <= MAX_SHIFT for shift in draw_shifts(200, 0))


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 1 - 1e-9])
def test_an_impossible_overlap_is_refused(overlap: float) -> None:
    with pytest.raises(UsageError, match="overlap"):
        stride_of(overlap)
