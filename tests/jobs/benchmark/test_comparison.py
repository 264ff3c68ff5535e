"""The job beside all stems and beside other models: what is run, and what the ratios are of."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.benchmark.__main__ import parser
from jobs.benchmark.comparison import compare_models, compare_with_all_stems, requests_beside
from jobs.benchmark.trial import Trial
from jobs.pipeline.cost.summary import AccountRow, Spread
from jobs.pipeline.job import Job
from jobs.pipeline.sizing import JobPlan
from separation.errors import UsageError
from separation.models.bag import RestOfMix, WeightedRow
from separation.models.bag_json import read_bag
from separation.options import Options
from tests.bags import GAINS, write_gain_bag, write_rows_bag
from tests.stores import STORE

PLAN = JobPlan("cpu", 1, 1, 1.0, 0.0, 1, 1, 1, 16, 40, 1)


def trial(work_s: float, graph_s: float) -> Trial:
    """Of 100 s of audio; beside the graph's core-seconds, some that are not the run's own."""
    stages = [
        AccountRow("phase", "work", work_s, None, 1.0),
        AccountRow("core", "load", None, 50.0, 0.1),
        AccountRow("core", "drums", graph_s, graph_s, 0.5),
        AccountRow("core", "outside", None, 70.0, 0.1),
        AccountRow("core", "idle", None, 90.0, 0.3),
    ]
    return Trial(4, 0, 100.0, work_s + 1, work_s, stages, [], 10, 20, ("A CPU",), 30.0)


OURS = [trial(10.0, 20.0), trial(30.0, 21.0), trial(20.0, 44.0)]
OTHERS = [trial(40.0, 80.0), trial(40.0, 70.0), trial(50.0, 80.0)]


def test_ratios_are_the_medians_of_pairs() -> None:
    found = compare_with_all_stems(OURS, OTHERS)
    assert found.ratio == Spread(0.4, 0.25, 0.75)  # the ratio of the medians would be 0.5
    assert found.core_ratio == Spread(pytest.approx(0.3), 0.25, pytest.approx(0.55))
    with pytest.raises(ValueError):
        compare_with_all_stems(OURS, OTHERS[:2])


def test_the_other_models_are_named_with_what_they_cost(tmp_path: Path) -> None:
    recipes = {stem: (WeightedRow("four", stem),) for stem in GAINS} | {"karaoke": RestOfMix(("vocals",))}
    folder = write_rows_bag(tmp_path / "models", {"four": GAINS}, recipes)
    options = Options(stems=("karaoke",))
    job = Job("r", "o", read_bag(str(folder), STORE), options, PLAN, "c", 0, 0.0, STORE)
    found = compare_models(OURS, OTHERS, job)
    assert (found.models, found.name) == (str(folder), "rows")
    assert (found.stems, found.graphs) == (["karaoke"], ["four"])
    assert (found.ratio.median, found.core_ratio.median) == (0.4, pytest.approx(0.3))
    assert found.x_realtime == Spread(2.5, 2.0, 2.5)
    assert found.core_s_per_audio_s == Spread(0.8, 0.7, 0.8)
    with_all = compare_models(OURS, OTHERS, replace(job, options=Options()))
    assert with_all.stems == [*GAINS, "karaoke"]


def arguments(tmp_path: Path, *more: str) -> argparse.Namespace:
    fixed = ["--models", str(tmp_path / "models"), "--output", str(tmp_path / "out")]
    return parser().parse_args([*fixed, "--cache", str(tmp_path / "cache"), *more])


def test_what_runs_beside(tmp_path: Path) -> None:
    write_gain_bag(tmp_path / "models")
    other = str(write_gain_bag(tmp_path / "other", {"vocals": 0.5}))
    assert requests_beside(arguments(tmp_path, "--stems", "vocals", "--compare", "demucs"), STORE) == []
    both = arguments(tmp_path, "--stems", "vocals", "--compare", "all", "--compare-models", other)
    models, whole = requests_beside(both, STORE)
    assert (models.setting, models.request.bag.uri, models.request.stems) == (
        "--compare-models",
        other,
        ("vocals",),
    )
    assert models.arguments.models == other  # run.json of its runs has them
    assert (whole.setting, whole.request.bag.uri) == ("--all", str(tmp_path / "models"))
    assert whole.request.stems == tuple(whole.request.bag.stems)
    assert both.models == str(tmp_path / "models")


@pytest.mark.parametrize("option", [["--stems", "bass,vocals"], ["--two-stems", "bass"]])
def test_a_stem_that_the_other_models_lack_is_refused(tmp_path: Path, option: list[str]) -> None:
    write_gain_bag(tmp_path / "models")
    other = str(write_gain_bag(tmp_path / "other", {"vocals": 0.5, "drums": 0.25}))
    with pytest.raises(UsageError) as refused:
        requests_beside(arguments(tmp_path, *option, "--compare-models", other), STORE)
    assert (
        str(refused.value) == f"--compare-models {other}: the models have the stems drums, vocals; not bass"
    )
