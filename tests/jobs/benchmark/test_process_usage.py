"""CPU time is booked to what a process was doing."""

import os
import subprocess
import sys
import time
from functools import partial
from typing import Any

import pytest

from jobs.benchmark.process_usage import Ledger, Reading, Watcher, activity, parse_gpus
from jobs.pipeline.dataset import ActorRunner, named
from jobs.pipeline.stages.stage import FinishStage, PoolStage, Stages, TaskStage, infer_name

RAYLET = "/x/ray/core/src/ray/raylet/raylet --session-name=session_mine --node_id=1"


def stages_of(*graphs: str) -> Stages:
    """A pipeline's stages in name; `process_usage` needs no more of them."""

    def unused(*_: Any) -> Any:
        raise NotImplementedError

    task = partial(TaskStage, verb="", cpus=0.3, work=unused)
    pool = partial(
        PoolStage, verb="", cpus=1.0, load=unused, gpus=0.0, rows_per_call=1, actors=1, max_actors=1
    )
    return Stages(
        probe=task(name="probe"),
        split=task(name="split"),
        cut=task(name="cut"),
        infer=tuple(pool(name=infer_name(graph), graph=graph) for graph in graphs),
        stitch=task(name="stitch"),
        finish=FinishStage(name="finish", verb="", cpus=0.3, work=unused),
    )


TITLES = stages_of("drums", "bass", "other", "vocals").process_titles


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("ray::MapWorker(MapBatches(infer_drums))", "infer_drums"),
        ("ray::MapWorker(MapBatches(infer_other)).submit", "infer_other"),
        ("ray::MapWorker(MapBatches(infer_vocals)).__init__", "load"),
        ("ray::MapBatches(probe)->MapBatches(split)", "probe"),
        ("ray::MapBatches(cut)", "cut"),
        ("ray::MapBatches(stitch)", "stitch"),
        ("ray::finish", "finish"),
        ("ray::Watch.end", "watch"),
        ("ray::IDLE", "ray"),
        ("ray::MapWorker(MapBatches(SomeoneElse)).submit", "ray"),
    ],
)
def test_a_workers_title_tells_what_it_does(title: str, expected: str) -> None:
    assert activity(title, TITLES) == expected


@pytest.mark.parametrize("graph", ["lead-vocals", "probe", "ray", "Drums", "drums", "drums-2", "finish"])
def test_a_graph_is_not_taken_for_anything_else(graph: str) -> None:
    """Titles are those of the classes that Ray runs, whose names it puts into its operators' names."""
    titles = stages_of("lead-vocals", "probe", "ray", "Drums", "drums", "drums-2", "finish").process_titles
    assert len(titles) == 12
    actor = f"ray::MapWorker(MapBatches({named(infer_name(graph), ActorRunner).__name__}))"
    assert activity(f"{actor}.submit", titles) == activity(actor, titles) == infer_name(graph)
    assert activity(f"{actor}.__init__", titles) == "load"
    assert activity("ray::MapBatches(probe)->MapBatches(split)", titles) == "probe"
    assert activity("ray::finish", titles) == "finish"


def test_the_ledger_follows_a_worker_from_step_to_step() -> None:
    ledger = Ledger(TITLES, "session_mine", driver=7)

    def read(worker: str, worker_s: float, actor_s: float, driver_s: float, first: bool = False) -> None:
        readings = [
            Reading(1, 0, 0, RAYLET, 5.0),
            Reading(2, 1, 0, worker, worker_s),
            Reading(3, 1, 0, "ray::MapWorker(MapBatches(infer_other)).submit", actor_s),
            Reading(7, 0, 0, "python -m jobs.benchmark", driver_s),
        ]
        ledger.read(readings, first)

    read("ray::IDLE", 1.0, 10.0, 2.0, first=True)
    read("ray::MapBatches(cut)", 1.5, 12.0, 2.25)
    read("ray::IDLE", 1.75, 13.0, 2.5)  # what it gained, it gained in the step that just ended
    read("ray::IDLE", 2.0, 13.0, 2.5)
    assert ledger.core_s == {"cut": 0.75, "infer_other": 3.0, "driver": 0.5, "ray": 0.25}


def test_a_decoder_does_what_its_worker_does() -> None:
    ledger = Ledger(TITLES, "session_mine", driver=7)

    def read(worker: str, decoder_s: float, first: bool = False) -> None:
        readings = [
            Reading(1, 0, 0, RAYLET, 5.0),
            Reading(2, 1, 0, worker, 1.0),
            Reading(3, 2, 0, "python -P -c import os, sys", decoder_s),
        ]
        ledger.read(readings, first)

    read("ray::IDLE", 1.0, first=True)
    read("ray::MapBatches(probe)->MapBatches(split)", 1.5)
    read("ray::IDLE", 1.75)
    assert ledger.core_s == {"probe": 0.75, "ray": 0.0}


def test_other_clusters_and_programs_are_outside() -> None:
    ledger = Ledger(TITLES, "session_mine", driver=0)
    ledger.read([], first=True)
    ledger.read(
        [
            Reading(1, 0, 0, RAYLET.replace("mine", "theirs"), 1.0),
            Reading(2, 1, 0, "ray::MapWorker(MapBatches(infer_drums)).submit", 2.0),
            Reading(3, 0, 0, "vim", 4.0),
            Reading(4, 0, 0, "python dashboard.py --session-dir=ray/session_mine", 8.0),
        ]
    )
    assert ledger.core_s == {"outside": 7.0, "ray": 8.0}


def test_a_pid_that_is_used_again_is_another_process() -> None:
    ledger = Ledger(TITLES, "session_mine", driver=0)
    ledger.read([Reading(9, 0, 100.0, "make", 50.0)], first=True)
    ledger.read([Reading(9, 0, 200.0, "make", 0.5)])
    assert ledger.core_s == {"outside": 0.5}


def test_a_watcher_reads_this_machine() -> None:
    watcher = Watcher(TITLES, "session_none", os.getpid())
    watcher.begin()
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        until = time.process_time() + 0.4
        while time.process_time() < until:
            pass
        usage = watcher.end()
    finally:
        burner.kill()
        burner.wait()
    assert usage.core_s["driver"] >= 0.35
    assert usage.core_s["outside"] > 0
    assert usage.busy_s + usage.idle_s + usage.stolen_s == pytest.approx(
        usage.cores * usage.wall_s, rel=0.1, abs=0.1
    )
    assert usage.peak_bytes >= usage.start_bytes > 0


def test_what_nvidia_smi_says() -> None:
    assert parse_gpus("87, 10240\n [N/A], [N/A]\n0, 3\n") == [(0.87, 10240 * 2**20), (0.0, 3 * 2**20)]
