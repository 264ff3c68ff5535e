"""Hours and dollars of what is left, from the benchmark of the same models alone."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from jobs.benchmark import result
from jobs.pipeline.cost import estimate
from jobs.pipeline.cost.summary import BagGraph, Summary
from jobs.pipeline.job import Job
from jobs.pipeline.sizing import JobPlan
from separation.models.bag import Bag, RestOfMix, WeightedRow
from separation.options import Options
from tests.bags import FOUR_STEMS, bag_of_stems, graph_file
from tests.outputs import benchmark_summary
from tests.stores import STORE

PLAN = JobPlan("cpu", 1, 1, 1.0, 0.0, 1, 1, 1, 16, 40, 1)
FOUR_ROWS = Bag(
    "models",
    "one graph",
    bag_of_stems().contracts,
    {"all": graph_file("all.onnx", b"all", "contract", FOUR_STEMS)},
    {stem: (WeightedRow("all", stem),) for stem in FOUR_STEMS} | {"karaoke": RestOfMix(("vocals",))},
)


def lines_of(bag: Bag, summary: Summary, output: Path, *stems: str) -> list[str]:
    """For 20 tracks, which without an output have the benchmark's 180 s: an audio-hour."""
    result.write(str(output), summary, [], STORE)
    job = Job("r", str(output), bag, Options(stems=stems), PLAN, "c", 0, 0.0, STORE)
    return estimate.of_catalogue(job, 20, None)


def node_hours(lines: list[str]) -> float:
    """Of the node as measured, which does half a second of audio in a second."""
    (line,) = [line for line in lines if "as measured:" in line and "node-hours" in line]
    return float(line.split(": ")[1].split(" node-hours")[0])


def measured(bag: Bag, infer_s: dict[str, float]) -> Summary:
    graphs = {name: BagGraph(file.sha256, infer_s.get(name)) for name, file in bag.graphs.items()}
    return msgspec.structs.replace(benchmark_summary(), graphs=graphs)


def test_a_graph_costs_all_of_it_for_one_of_its_stems(tmp_path: Path) -> None:
    summary = measured(FOUR_ROWS, {"all": 30.0})
    for stems in ((), ("drums",), ("karaoke",)):
        assert node_hours(lines_of(FOUR_ROWS, summary, tmp_path, *stems)) == 2.0


def test_graphs_cost_what_they_took(tmp_path: Path) -> None:
    bag = bag_of_stems()
    all_four = measured(bag, {"drums": 30.0, "bass": 10.0, "other": 30.0, "vocals": 30.0})
    assert node_hours(lines_of(bag, all_four, tmp_path)) == 2.0
    assert node_hours(lines_of(bag, all_four, tmp_path, "bass")) == 0.2
    assert node_hours(lines_of(bag, all_four, tmp_path, "drums", "vocals")) == 1.2


def test_a_graph_that_did_not_run_costs_the_mean_of_those_that_did(tmp_path: Path) -> None:
    bag = bag_of_stems()
    two = measured(bag, {"drums": 30.0, "bass": 10.0})
    assert node_hours(lines_of(bag, two, tmp_path, "vocals")) == 1.0
    assert node_hours(lines_of(bag, two, tmp_path)) == 4.0
    assert node_hours(lines_of(bag, measured(bag, {"drums": 0.0}), tmp_path)) == 2.0  # silence alone


def test_other_models_give_no_estimate(tmp_path: Path) -> None:
    summary = measured(bag_of_stems(), dict.fromkeys(FOUR_STEMS, 10.0))
    assert lines_of(FOUR_ROWS, summary, tmp_path) == [
        "estimate: none, as the benchmark of 2026-11-24 measured other models (models/); "
        "python -m jobs.benchmark --models models measures these"
    ]
    renamed = replace(bag_of_stems(), uri="elsewhere", name="renamed")  # the same files in another folder
    assert node_hours(lines_of(renamed, summary, tmp_path)) == 2.0


def test_an_older_summary_is_of_the_folder_that_it_names(tmp_path: Path) -> None:
    bag = replace(bag_of_stems(), uri="models")
    older = benchmark_summary()  # of vocals alone
    assert not older.graphs
    assert node_hours(lines_of(bag, older, tmp_path, "vocals")) == 2.0
    assert node_hours(lines_of(bag, older, tmp_path)) == 8.0
    (only,) = lines_of(replace(bag, uri="s3://music/models"), older, tmp_path)
    assert "measured other models (models/)" in only


def test_the_stems_are_those_asked_for(tmp_path: Path) -> None:
    lines = lines_of(FOUR_ROWS, measured(FOUR_ROWS, {"all": 30.0}), tmp_path, "karaoke")
    assert any("stems: karaoke; measured with vocals; a graph costs the same" in line for line in lines)


@pytest.mark.parametrize("tracks", [0, 1])
def test_without_a_benchmark_it_says_how_to_make_one(tmp_path: Path, tracks: int) -> None:
    job = Job("r", str(tmp_path), bag_of_stems(), Options(), PLAN, "c", 0, 0.0, STORE)
    lines = estimate.of_catalogue(job, tracks, None)
    assert len(lines) == tracks
    assert all("python -m jobs.benchmark makes one" in line for line in lines)
