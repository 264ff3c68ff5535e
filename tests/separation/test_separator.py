"""A mix by the graphs of a bag; graphs in parallel give the same stems, an error of one ends all."""

from threading import Barrier, Event

import numpy as np
import pytest

from separation.contract import HTDEMUCS, Contract
from separation.grid import GridRule
from separation.level import measure
from separation.models.bag import Bag, WeightedRow
from separation.separator import collect, parallel_graphs, separate
from tests.bags import FOUR_STEMS, RULE, graph_file, separate_with

MIX = 0.1 * np.random.default_rng(0).standard_normal((2, 3 * HTDEMUCS.stride), dtype=np.float32)


def test_two_at_once_give_the_same_stems() -> None:
    both = Barrier(2)  # opens when two graphs wait at it, and else breaks

    def of(gain: float, together: bool):
        def graph(segments: np.ndarray) -> np.ndarray:
            if together:
                both.wait(timeout=600)
            return segments * np.float32(gain)

        return graph

    alone, beside = (
        separate_with(
            MIX, {stem: of(gain, parallel > 1) for gain, stem in enumerate(FOUR_STEMS)}, parallel=parallel
        )
        for parallel in (1, 2)
    )
    assert list(alone) == list(beside) == list(FOUR_STEMS)
    for stem in FOUR_STEMS:
        np.testing.assert_array_equal(collect(alone[stem]), collect(beside[stem]))


def test_no_graph_sees_silence() -> None:
    def drums(segments: np.ndarray) -> np.ndarray:
        seen.append(len(segments))
        return segments + 1

    seen: list[int] = []
    silent = np.zeros_like(MIX)
    assert not collect(separate_with(silent, {"drums": drums}, on_chunk=seen.append)["drums"]).any()
    assert seen == ["drums"] * 3  # the progress goes on
    half = MIX.copy()
    half[:, HTDEMUCS.stride - 1 :] = 0
    for skip, batches in ((False, 3), (True, 1)):
        seen = []
        separate_with(half, {"drums": drums}, skip_silence=skip)
        assert seen == [1] * batches


def test_the_first_error_is_the_one_that_is_raised_and_ends_the_others() -> None:
    failing, heard = Event(), []

    def drums(segments: np.ndarray) -> np.ndarray:
        assert failing.wait(timeout=600)
        return segments

    def bass(segments: np.ndarray) -> np.ndarray:
        failing.set()
        raise FloatingPointError("bass")

    long = np.ones((2, 100 * HTDEMUCS.stride), np.float32)
    with pytest.raises(FloatingPointError, match="bass"):
        separate_with(long, {"drums": drums, "bass": bass, "other": drums}, parallel=2, on_chunk=heard.append)
    assert len(heard) < 100


@pytest.mark.parametrize(
    ("threads", "graphs", "expected"), [(1, 4, 1), (2, 4, 2), (8, 4, 4), (8, 1, 1), (0, 4, 1)]
)
def test_no_more_run_side_by_side_than_there_are_threads(threads, graphs, expected) -> None:
    assert parallel_graphs(threads, graphs) == expected


SHORT = GridRule(segment=20_001, stride=15_000)
OTHER = Contract(44_100, 2, SHORT.segment, SHORT.stride, max_shift=0)


def test_a_stem_is_the_weighted_mean_of_rows() -> None:
    """`a` gives two rows, `b` one: drums are a row as it is, bass the mean of both graphs, 3 to 1."""

    def a(segments: np.ndarray) -> np.ndarray:
        return np.stack([segments * np.float32(0.5), segments * np.float32(2)], axis=1)

    def b(segments: np.ndarray) -> np.ndarray:
        return segments[:, None] * np.float32(6)

    bag = Bag(
        ".",
        "test",
        {"htdemucs": HTDEMUCS},
        {
            "a": graph_file("a.onnx", b"a", "htdemucs", ("drums", "bass")),
            "b": graph_file("b.onnx", b"b", "htdemucs", ("bass",)),
        },
        {
            "drums": (WeightedRow("a", "drums"),),
            "bass": (WeightedRow("a", "bass", 3), WeightedRow("b", "bass", 1)),
        },
    )
    calls: list[str] = []
    graphs, rules = {"a": a, "b": b}, {"htdemucs": RULE}
    stems = separate(MIX, bag, graphs, bag.stems, rules, on_chunk=calls.append)
    assert sorted(calls) == ["a"] * 3 + ["b"] * 3  # a runs once for both of its rows
    mean = measure(MIX).mean  # taken off before the graphs, and restored on each stem
    for stem, gain in (("drums", 0.5), ("bass", (3 * 2 + 6) / 4)):
        np.testing.assert_allclose(collect(stems[stem]), (MIX - mean) * gain + mean, atol=1e-6)

    only = separate(MIX, bag, {"a": a}, ["drums"], rules, on_chunk=calls.append)
    assert sorted(calls) == ["a"] * 6 + ["b"] * 3
    np.testing.assert_array_equal(collect(only["drums"]), collect(stems["drums"]))


def test_every_graph_has_the_grid_of_its_contract() -> None:
    """Each stem is what it is in a bag of its own."""

    def bend(segments: np.ndarray) -> np.ndarray:
        ramp = np.linspace(0.5, 1.5, segments.shape[-1], dtype=np.float32)
        return (np.tanh(segments) * ramp)[:, None]

    bag = Bag(
        ".",
        "test",
        {"htdemucs": HTDEMUCS, "other": OTHER},
        {
            "a": graph_file("a.onnx", b"a", "htdemucs", ("drums",)),
            "b": graph_file("b.onnx", b"b", "other", ("bass",)),
        },
        {"drums": (WeightedRow("a", "drums"),), "bass": (WeightedRow("b", "bass"),)},
    )
    both = separate(
        MIX, bag, {"a": bend, "b": bend}, bag.stems, {"htdemucs": RULE, "other": SHORT}, parallel=2
    )
    for stem, rule, contract in (("drums", RULE, HTDEMUCS), ("bass", SHORT, OTHER)):
        alone = separate_with(MIX, {stem: lambda segments: bend(segments)[:, 0]}, rule, contract)
        np.testing.assert_array_equal(collect(both[stem]), collect(alone[stem]))
