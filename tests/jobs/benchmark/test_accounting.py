"""The accounts add up, and nothing is counted under another's name."""

import pyarrow as pa
import pytest

from jobs.benchmark.accounting import accounted, cores, own_core_s, phases, waits
from jobs.benchmark.process_usage import Usage

STEMS = ("drums", "other")
TRACKS = pa.table(
    {"probe_s": [1.0], "decode_s": [2.0], "stitch_s": [1.0], "write_s": [3.0], "upload_s": [1.0]}
)
TIMINGS = pa.table({"stem": ["drums", "other"], "infer_s": [5.0, 7.0], "queue_s": [0.5, 1.5]})


def usage(core_s: dict[str, float], busy_s: float, idle_s: float) -> Usage:
    return Usage("a", 2, 10.0, core_s, busy_s, idle_s, 0.0, 0, 0, 0, 0, None, None)


def test_the_core_account_is_cores_times_wall() -> None:
    done = {"drums": 4.0, "other": 6.0, "outside": 1.0, "probe": 0.5, "stitch": 2.0}
    stages = cores([usage(done, 14.0, 6.0)], TRACKS, TIMINGS, STEMS)
    by_name = {stage.stage: stage for stage in stages}
    assert len(by_name) == len(stages)  # the stem `other` and other programs are two rows
    assert (by_name["other"].core_s, by_name["other"].task_s) == (6.0, 7.0)
    assert by_name["outside"].core_s == 1.0
    assert [by_name[name].core_s for name in ("stitch", "encode", "upload")] == [0.5, 1.0, 0.5]
    assert by_name["unseen"].core_s == pytest.approx(0.5)
    assert accounted(stages) == pytest.approx(19.5 / 20)
    assert sum(stage.share or 0 for stage in stages) == pytest.approx(1)
    assert own_core_s(stages) == pytest.approx(12.5)  # not what ran outside


def test_machines_add_up() -> None:
    stages = cores([usage({"drums": 4.0}, 4.0, 16.0)] * 3, TRACKS, TIMINGS, STEMS)
    by_name = {stage.stage: stage for stage in stages}
    assert by_name["drums"].core_s == 12.0
    assert by_name["drums"].share == pytest.approx(0.2)
    assert by_name["idle"].share == pytest.approx(0.8)


def test_phases_and_waits() -> None:
    assert [stage.share for stage in phases({"start": 1.0, "work": 3.0})] == [0.25, 0.75]
    (wait,) = waits(TIMINGS, 4.0)
    assert (wait.task_s, wait.share) == (2.0, 0.5)
