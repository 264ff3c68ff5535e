"""The accounts add up, and nothing is counted under another's name."""

import pyarrow as pa
import pytest

from jobs.benchmark.accounting import accounted, cores, own_core_s, phases, task_seconds, waits
from jobs.benchmark.process_usage import Usage

GRAPHS = ("drums", "other")
TRACKS = pa.table(
    {"probe_s": [1.0], "decode_s": [2.0], "stitch_s": [1.0], "write_s": [3.0], "upload_s": [1.0]}
)
TIMINGS = pa.table({"graph": ["drums", "other"], "infer_s": [5.0, 7.0], "queue_s": [0.5, 1.5]})


def usage(core_s: dict[str, float], busy_s: float, idle_s: float) -> Usage:
    return Usage("a", 2, 10.0, core_s, busy_s, idle_s, 0.0, 0, 0, 0, 0, None, None)


def test_the_core_account_is_cores_times_wall() -> None:
    done = {
        "infer_drums": 4.0,
        "infer_other": 6.0,
        "outside": 1.0,
        "probe": 0.5,
        "stitch": 1.5,
        "finish": 0.5,
    }
    stages = cores([usage(done, 14.0, 6.0)], TRACKS, TIMINGS, GRAPHS)
    by_name = {stage.stage: stage for stage in stages}
    assert len(by_name) == len(stages)  # the graph `other` and other programs are two rows
    assert (by_name["other"].core_s, by_name["other"].task_s) == (6.0, 7.0)
    assert by_name["outside"].core_s == 1.0
    assert [by_name[name].core_s for name in ("stitch", "encode", "upload")] == [0.5, 1.0, 0.5]
    assert by_name["unseen"].core_s == pytest.approx(0.5)
    assert accounted(stages) == pytest.approx(19.5 / 20)
    assert sum(stage.share or 0 for stage in stages) == pytest.approx(1)
    assert own_core_s(stages) == pytest.approx(12.5)  # not what ran outside


def test_machines_add_up() -> None:
    stages = cores([usage({"infer_drums": 4.0}, 4.0, 16.0)] * 3, TRACKS, TIMINGS, GRAPHS)
    by_name = {stage.stage: stage for stage in stages}
    assert by_name["drums"].core_s == 12.0
    assert by_name["drums"].share == pytest.approx(0.2)
    assert by_name["idle"].share == pytest.approx(0.8)


def test_a_graph_called_as_another_row_has_a_row_of_its_own() -> None:
    graphs = ("probe", "ray", "lead-vocals", "Drums")
    timings = pa.table({"graph": graphs, "infer_s": [3.0] * 4, "queue_s": [0.0] * 4})
    done = {f"infer_{graph}": 2.0 for graph in graphs} | {"probe": 1.0, "ray": 0.5}
    stages = cores([usage(done, 9.5, 10.5)], TRACKS, timings, graphs)
    by_name = {stage.stage: stage.core_s for stage in stages}
    assert len(by_name) == len(stages)
    assert (by_name["infer probe"], by_name["infer ray"], by_name["lead-vocals"], by_name["Drums"]) == (
        2.0,
    ) * 4
    assert (by_name["probe"], by_name["ray"]) == (1.0, 0.5)


def test_task_seconds_of_stems_go_back_to_the_graphs_that_took_them() -> None:
    """Two stems of the graph `four`, one of `four` and `ray` both, a rest of the mix, a silent track."""
    rows = [("four", 2.0), ("four", 2.0), ("four+ray", 6.0), (None, None), ("four", None)]
    names, seconds = (pa.array(column) for column in zip(*rows, strict=True))
    timings = pa.table({"graph": names, "infer_s": seconds})
    found = task_seconds(TRACKS, timings, ("four", "ray", "idle-one"))
    assert (found["four"], found["infer ray"], found["idle-one"]) == (7.0, 3.0, 0.0)
    assert (found["probe"], found["decode"], found["encode"]) == (1.0, 2.0, 2.0)


def test_phases_and_waits() -> None:
    assert [stage.share for stage in phases({"start": 1.0, "work": 3.0})] == [0.25, 0.75]
    (wait,) = waits(TIMINGS, 4.0)
    assert (wait.task_s, wait.share) == (2.0, 0.5)
