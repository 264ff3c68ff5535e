"""What a sweep tries, and what it recommends."""

from dataclasses import replace

from jobs.benchmark import sweep
from jobs.pipeline.sizing import JobPlan

CPU = JobPlan("cpu", 1, 1, 1.0, 0.0, 2, 2, 1, 16, 40, 2_751_840)


def test_settings_begin_with_the_plan_and_keep_the_nodes_cores() -> None:
    found = sweep.settings(CPU, 4)
    assert found[0] == {}
    assert {(s["threads"], s["turns"]) for s in found if "threads" in s} == {(1, 4), (4, 1)}
    assert {s["chunks_per_section"] for s in found if "chunks_per_section" in s} == {8, 32}
    assert len({sweep.name(setting) for setting in found}) == len(found)


def test_no_section_that_would_spill() -> None:
    found = sweep.settings(replace(CPU, store_chunks=10), 4)
    assert {s["chunks_per_section"] for s in found if "chunks_per_section" in s} == {8}


def test_a_gpu_varies_its_batch() -> None:
    found = sweep.settings(replace(CPU, gpus_per_actor=0.25, batch=8), 4)
    assert {s["batch"] for s in found if "batch" in s} == {1, 2, 4}
    assert not any("threads" in setting for setting in found)


def test_twice_the_actors_take_no_more_than_the_pool_had() -> None:
    assert {"actors": 2, "cpus_per_actor": 0.5} in sweep.settings(CPU, 4)
    assert {"actors": 2, "gpus_per_actor": 0.12} in sweep.settings(replace(CPU, gpus_per_actor=0.25), 4)
    assert {"actors": 2, "cpus_per_actor": 0.12} in sweep.settings(replace(CPU, cpus_per_actor=0.25), 4)


def test_only_a_gain_beyond_noise_is_recommended() -> None:
    assert sweep.recommend({"": 1.0, "--threads 1": 1.01}) == ""
    assert sweep.recommend({"": 1.0, "--threads 1": 1.2, "--threads 4": 1.1}) == "--threads 1"
