"""What demucs is asked to do beside a job, and what it cannot."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from jobs.benchmark import reference
from jobs.pipeline.job import Job
from jobs.pipeline.sizing import JobPlan
from separation.contract import HTDEMUCS, Contract, htdemucs_contract, msst_contract
from separation.errors import UsageError
from separation.models.bag import Bag, Recipe, RestOfMix
from separation.options import Options
from tests.bags import bag_of_stems
from tests.stores import STORE

PLAN = JobPlan("cpu", 1, 1, 1.0, 0.0, 1, 1, 1, 16, 40, 1)
STEMS = ("bass", "vocals")


def bag_with(origins: dict[str, str], contracts: dict[str, Contract] | None = None) -> Bag:
    """A graph per stem, each of its own origin and, if given, contract."""
    bag = bag_of_stems(tuple(origins))
    graphs = {
        name: replace(file, origin=origins[name], contract=name if contracts else file.contract)
        for name, file in bag.graphs.items()
    }
    rest: dict[str, Recipe] = {"karaoke": RestOfMix(("vocals",))}
    return replace(bag, graphs=graphs, contracts=contracts or bag.contracts, stems={**bag.stems, **rest})


def job_with(bag: Bag, **options: Any) -> Job:
    return Job("r", "o", bag, Options(**{"stems": STEMS} | options), PLAN, "c", 0, 0.0, STORE)


def test_demucs_gets_the_checkpoints_of_the_graphs_that_run() -> None:
    one = job_with(bag_with({"bass": "htdemucs", "vocals": "htdemucs"}))
    assert reference.origin_of(one, None) == "htdemucs"
    two = bag_with({"bass": "htdemucs", "vocals": "mine.th"})
    assert reference.origin_of(job_with(two, stems=("vocals",)), None) == "mine.th"
    assert reference.origin_of(job_with(two), "htdemucs_6s") == "htdemucs_6s"
    reference.check(one, None)


@pytest.mark.parametrize(
    ("bass", "options", "words"),
    [
        ("htdemucs", {}, r"different checkpoints \(htdemucs, mine.th\); --stems .* --bag"),
        ("", {}, r"different checkpoints \(not stated, mine.th\)"),
        ("", {"stems": ("bass",)}, "does not say where its checkpoints are; --bag does"),
        ("mine.th", {"stems": ("vocals", "karaoke")}, "karaoke is a rest of the mix.* --stems"),
        ("mine.th", {"shifts": 2}, "without --shifts"),
    ],
)
def test_what_demucs_cannot_do_is_one_sentence(bass: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=f"^--compare demucs: .*{words}"):
        reference.check(job_with(bag_with({"bass": bass, "vocals": "mine.th"}), **options), None)


def test_models_of_another_family_are_refused() -> None:
    contracts = {"bass": HTDEMUCS, "vocals": msst_contract(485_100, 4, normalize=False)}
    bag = bag_with({"bass": "htdemucs", "vocals": "scnet --config a"}, contracts)
    with pytest.raises(UsageError, match=r"^--compare demucs: the contract vocals is not demucs's; --stems"):
        reference.check(job_with(bag), "htdemucs")
    reference.check(job_with(bag, stems=("bass",)), None)


def test_demucs_places_its_chunks_as_the_job_does() -> None:
    long = htdemucs_contract(Fraction(10))
    half = replace(HTDEMUCS, stride=HTDEMUCS.segment // 2)
    origins = {"bass": "o", "vocals": "o"}

    def overlap(bass: Contract, vocals: Contract, asked: float | None = None) -> float:
        job = job_with(bag_with(origins, {"bass": bass, "vocals": vocals}), overlap=asked)
        found = reference.overlap_of(job)
        assert all(each.stride_for(found) == each.stride_for(asked) for each in (bass, vocals))
        return found

    assert overlap(HTDEMUCS, long) == 0.25
    assert overlap(half, half) == 0.5
    odd = htdemucs_contract(Fraction(343_987, 44_100))  # 1 - stride / segment would place a sample earlier
    assert overlap(odd, odd) == 0.25
    assert overlap(HTDEMUCS, half, asked=0.1) == 0.1
    different = job_with(bag_with(origins, {"bass": HTDEMUCS, "vocals": half}))
    with pytest.raises(UsageError, match=r"^--compare demucs: .* --overlap gives one"):
        reference.check(different, None)
