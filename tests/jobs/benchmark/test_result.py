"""The figures of timed runs, and the table that is kept of them."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.benchmark import result
from jobs.benchmark.accounting import SCHEMA, phases
from jobs.benchmark.process_usage import Usage
from jobs.benchmark.trial import Trial
from jobs.pipeline.cost.prices import Price
from jobs.pipeline.cost.summary import AccountRow, BagGraph, Spread
from jobs.pipeline.job import Job
from jobs.pipeline.sizing import JobPlan, Node
from separation.options import Options
from tests.bags import bag_of_stems
from tests.outputs import benchmark_summary
from tests.stores import STORE

PLAN = JobPlan("cpu", 1, 1, 1.0, 0.0, 2, 1, 1, 16, 40, 2_751_840)
USAGE = Usage("a", 2, 10.0, {}, 15.0, 5.0, 0.0, 900, 100, 0, 0, None, None)


def trial(work_s: float) -> Trial:
    stages = phases({"start": 1.0, "work": work_s})
    return Trial(4, 1, 720.0, work_s + 1, work_s, stages, [USAGE], 10, 20, ("A CPU",), 60.0)


def test_figures_of_three_repeats() -> None:
    trials = [trial(80.0), trial(60.0), trial(120.0)]
    found = result.figures(trials, [Node(2, 0, 1e9)], PLAN, Price(0.18, ""))
    assert found.x_realtime == Spread(median=9.0, min=6.0, max=12.0)
    assert (found.x_realtime_per_node, found.x_realtime_per_device) == (9.0, 4.5)
    assert found.usd_per_audio_hour == pytest.approx(0.02)
    assert found.usd_per_1000_tracks == pytest.approx(0.02 * 180 / 3600 * 1000)
    assert (found.device, found.device_utilisation) == ("core", pytest.approx(60 / (2 * 80)))
    assert found.cpu_utilisation == pytest.approx(0.75)
    assert found.peak_bytes_above_start == 800


@pytest.mark.parametrize(("share", "device", "per_node"), [(0.25, "GPU", 1), (0.0, "core", 4)])
def test_devices_are_those_that_the_plan_runs_on(share: float, device: str, per_node: int) -> None:
    """A cluster with GPUs may run models on its CPUs."""
    plan = replace(PLAN, gpus_per_actor=share)
    found = result.figures([trial(80.0)], [Node(4, 1, 1e9)] * 2, plan, None)
    assert (found.device, found.x_realtime_per_device) == (device, 9.0 / (2 * per_node))
    assert found.device_utilisation == pytest.approx(60 / (2 * per_node * 80))


def test_the_graphs_of_the_folder_with_the_seconds_of_those_that_ran() -> None:
    bag = bag_of_stems(("decode", "probe", "vocals"))
    job = Job("r", "o", bag, Options(stems=("probe", "vocals")), PLAN, "c", 0, 0.0, STORE)
    rows = [
        AccountRow("core", "probe", 2.0, 2.0, 0.1),
        AccountRow("core", "decode", 2.0, 2.0, 0.1),
        AccountRow("core", "infer probe", 3.0, 6.0, 0.1),
        AccountRow("core", "vocals", 4.0, 8.0, 0.1),
        AccountRow("wait", "vocals", 1.0, None, 1.0),
    ]
    found = result.graphs_of(job, replace(benchmark_summary().figures, stages=rows))
    assert found == {
        "decode": BagGraph(bag.graphs["decode"].sha256, None),
        "probe": BagGraph(bag.graphs["probe"].sha256, 3.0),
        "vocals": BagGraph(bag.graphs["vocals"].sha256, 4.0),
    }


def test_a_row_a_repeat_and_stage(tmp_path: Path) -> None:
    stages = result.stages_of("", 1, [trial(80.0), trial(60.0)])
    result.write(str(tmp_path), benchmark_summary("20260101T000000-a"), stages, STORE)
    table = pq.read_table(tmp_path / "benchmarks/20260101T000000-a.parquet")
    assert table.schema.equals(SCHEMA)
    assert table.select(["repeat", "stage"]).to_pylist() == [
        {"repeat": repeat, "stage": stage} for repeat in (1, 2) for stage in ("start", "work")
    ]
