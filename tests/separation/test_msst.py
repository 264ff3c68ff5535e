"""Contracts of MSST: fades, reflected edges and its level, against `tests.msst` on whole tracks."""

from dataclasses import replace

import numpy as np
import pytest

from separation.contract import Contract, msst_contract
from separation.errors import UsageError
from separation.grid import GridRule, context, cut, plan_sections
from separation.level import measure, normalize
from separation.models.bag import Bag
from separation.options import Options
from separation.overlap_add import StitchedStem, overlap_add
from separation.separator import collect, separate
from tests import msst
from tests.bags import bag_of_stems, separate_with

CHUNK = 1_000
ODD = msst_contract(1_003, 4, normalize=True)  # strides of 250: five chunks over some samples
LENGTHS = [1, 2, 499, 500, 501, CHUNK - 1, CHUNK, CHUNK + 1, 1_323, 1_500, 1_501, 1_999, 2_001, 7_777, 12_000]


def music(length: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed + length)
    return (0.1 * rng.standard_normal((2, length)) + 0.05).astype(np.float32)


def bend(segments: np.ndarray) -> np.ndarray:
    """Depends on where in the segment a sample stands, and on what stands around it."""
    ramp = np.linspace(0.5, 1.5, segments.shape[-1], dtype=np.float32)
    return (np.tanh(2 * segments + 0.1) * ramp + np.roll(segments, 7, axis=-1)).astype(np.float32)


def rule_of(contract: Contract) -> GridRule:
    return Options().grid_rules({"own": contract})["own"]


def ours(mix: np.ndarray, contract: Contract) -> np.ndarray:
    return collect(separate_with(mix, {"vocals": bend}, rule_of(contract), contract)["vocals"])


def theirs(mix: np.ndarray, contract: Contract, num_overlap: int) -> np.ndarray:
    def network(segments: np.ndarray) -> np.ndarray:
        return bend(segments)[:, None]

    return msst.separate(mix, network, contract.segment, num_overlap, contract.level == "msst")[0]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("num_overlap", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("level", [False, True], ids=["none", "msst"])
def test_whole_tracks_are_those_of_demix(length: int, num_overlap: int, level: bool) -> None:
    contract, mix = msst_contract(CHUNK, num_overlap, level), music(length)
    found, expected = ours(mix, contract), theirs(mix, contract, num_overlap)
    if level:  # MSST measures it in float32
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6)
    else:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("length", [1, 501, 1_004, 7_777])
def test_a_stride_is_rounded_down_as_in_demix(length: int) -> None:
    mix = music(length)
    np.testing.assert_allclose(ours(mix, ODD), theirs(mix, ODD, 4), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("contract", [msst_contract(CHUNK, 4, False), ODD, replace(ODD, edges="context")])
@pytest.mark.parametrize("length", [900, 1_600, 9_999])
def test_sections_of_any_size_give_the_same_bits(contract: Contract, length: int) -> None:
    """From parts of the track, as the job decodes them."""
    mix, rule = music(length), rule_of(contract)
    whole, level = ours(mix, contract), measure(mix)
    for size in (1, 2, 3, 4, 7, 64):
        sections = plan_sections(length, {"own": rule}, size)
        sums = []
        for section in sections:
            start, stop = context(section.chunks, length)
            part = normalize(mix[:, start:stop], level, contract.level)
            sums.append(overlap_add(section, (bend(cut(part, chunk, start)) for chunk in section.chunks)))
        found = collect(StitchedStem(sections, sums.__getitem__, level, contract.level))
        np.testing.assert_array_equal(found, whole, err_msg=f"{size} chunks")


def test_chunks_beyond_the_track_are_left_out() -> None:
    rule = rule_of(msst_contract(CHUNK, 4, False))
    chunks = rule.chunks(10_000)
    assert [chunk.start for chunk in chunks] == [*range(-750, 10_000, 250)]
    assert [chunk.is_first for chunk in chunks] == [True] + 42 * [False]
    assert not any(chunk.is_last for chunk in chunks)  # that one begins after the track
    assert [chunk.length for chunk in chunks[-2:]] == [1_000, 1_000]
    assert [chunk.start for chunk in rule.chunks(1_500)] == [0, 250, 500, 750, 1_000, 1_250]


@pytest.mark.parametrize("level", [False, True])
def test_silence_is_silent_and_its_level_is_1(level: bool) -> None:
    silent = np.zeros((2, 3_210), np.float32)
    contract = msst_contract(CHUNK, 4, level)
    stem = collect(separate_with(silent, {"vocals": lambda s: s + 1}, rule_of(contract), contract)["vocals"])
    assert stem.shape == silent.shape and not stem.any()
    assert measure(silent).scale("msst") == 1
    constant = measure(np.full((2, 3_210), 0.5, np.float32))  # not silent, and nothing but its mean
    assert constant.scale("msst") == 1 and not normalize(silent + np.float32(0.5), constant, "msst").any()


def test_mono_as_two_channels_stays_mono() -> None:
    contract, mix = msst_contract(CHUNK, 2, True), np.repeat(music(4_321)[:1], 2, axis=0)
    stem = ours(mix, contract)
    np.testing.assert_array_equal(stem[0], stem[1])
    np.testing.assert_allclose(stem, theirs(mix, contract, 2), rtol=2e-5, atol=2e-6)


def test_the_level_is_of_the_population() -> None:
    mix = music(10)
    mono = mix.mean(0, dtype=np.float64)
    assert measure(mix).scale("msst") == pytest.approx(mono.std(), rel=1e-6)
    assert measure(mix).scale("track") == pytest.approx(mono.std(ddof=1), rel=1e-6)


def test_contracts_of_both_families_meet_in_one_bag() -> None:
    """Each stem is what it is alone; shifts are for those that have them."""
    demucs, own = Contract(44_100, 2, 1_400, 1_050, max_shift=99), msst_contract(CHUNK, 4, True)
    mix = music(6_000)
    bags = [bag_of_stems((stem,), contract) for stem, contract in (("bass", demucs), ("vocals", own))]
    graphs = [replace(bag.graphs[stem], contract=stem) for bag in bags for stem in bag.stems]
    both = Bag(
        ".",
        "both",
        {"bass": demucs, "vocals": own},
        {"bass": graphs[0], "vocals": graphs[1]},
        {**bags[0].stems, **bags[1].stems},
    )
    rules = Options(shifts=2).grid_rules(both.contracts)
    assert [len(rule.shifts) for rule in rules.values()] == [2, 1]
    calls = {stem: lambda segments: bend(segments)[:, None] for stem in both.stems}
    found = separate(mix, both, calls, both.stems, rules)
    np.testing.assert_array_equal(collect(found["vocals"]), ours(mix, own))
    alone = separate_with(mix, {"bass": bend}, rules["bass"], demucs)
    np.testing.assert_array_equal(collect(found["bass"]), collect(alone["bass"]))
    with pytest.raises(UsageError, match="--shifts 2: these models are not shifted"):
        Options(shifts=2).grid_rules({"vocals": own})
