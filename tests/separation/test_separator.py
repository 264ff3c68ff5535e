"""Specialists in parallel give the same stems; an error of one ends all."""

from threading import Barrier, Event

import numpy as np
import pytest

from separation.contract import STEMS, STRIDE
from separation.separator import collect, parallel_specialists, separate

MIX = 0.1 * np.random.default_rng(0).standard_normal((2, 3 * STRIDE), dtype=np.float32)


def test_two_at_once_give_the_same_stems() -> None:
    both = Barrier(2)  # opens when two specialists wait at it, and else breaks

    def of(gain: float, together: bool):
        def specialist(segments: np.ndarray) -> np.ndarray:
            if together:
                both.wait(timeout=600)
            return segments * np.float32(gain)

        return specialist

    alone, beside = (
        separate(MIX, {stem: of(gain, parallel > 1) for gain, stem in enumerate(STEMS)}, parallel=parallel)
        for parallel in (1, 2)
    )
    assert list(alone) == list(beside) == list(STEMS)
    for stem in STEMS:
        np.testing.assert_array_equal(collect(alone[stem]), collect(beside[stem]))


def test_no_specialist_sees_silence() -> None:
    def drums(segments: np.ndarray) -> np.ndarray:
        seen.append(len(segments))
        return segments + 1

    seen: list[int] = []
    silent = np.zeros_like(MIX)
    assert not collect(separate(silent, {"drums": drums}, on_chunk=seen.append)["drums"]).any()
    assert seen == ["drums"] * 3  # the progress goes on
    half = MIX.copy()
    half[:, STRIDE - 1 :] = 0
    for skip, batches in ((False, 3), (True, 1)):
        seen = []
        separate(half, {"drums": drums}, skip_silence=skip)
        assert seen == [1] * batches


def test_the_first_error_is_the_one_that_is_raised_and_ends_the_others() -> None:
    failing, heard = Event(), []

    def drums(segments: np.ndarray) -> np.ndarray:
        assert failing.wait(timeout=600)
        return segments

    def bass(segments: np.ndarray) -> np.ndarray:
        failing.set()
        raise FloatingPointError("bass")

    long = np.ones((2, 100 * STRIDE), np.float32)
    with pytest.raises(FloatingPointError, match="bass"):
        separate(long, {"drums": drums, "bass": bass, "other": drums}, parallel=2, on_chunk=heard.append)
    assert len(heard) < 100


@pytest.mark.parametrize(
    ("threads", "specialists", "expected"), [(1, 4, 1), (2, 4, 2), (8, 4, 4), (8, 1, 1), (0, 4, 1)]
)
def test_no_more_run_side_by_side_than_there_are_threads(threads, specialists, expected) -> None:
    assert parallel_specialists(threads, specialists) == expected
