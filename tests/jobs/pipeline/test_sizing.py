from typing import Any

import pytest

from jobs.pipeline.sizing import (
    CHUNK_BYTES,
    MOST_CHUNKS,
    PROBE_CPUS,
    RAY_TASK_CPUS,
    STORE_PER_MIX,
    JobPlan,
    Node,
    nodes_to_come,
    plan_job,
)
from separation.errors import PlanError, UsageError

GB = 1e9


def plan(*nodes: Node, specialists: int = 4, provider: str = "auto", **overrides: Any) -> JobPlan:
    return plan_job(nodes, specialists, provider, overrides)


def test_two_cpus_give_two_specialists_a_core_each() -> None:
    two = plan(Node(2, 0, 7 * GB))
    assert (two.provider, two.actors, two.threads, two.turns, two.batch) == ("cpu", 1, 1, 2, 1)
    assert 4 * two.cpus_per_actor + RAY_TASK_CPUS <= 2
    assert two.cpus_per_actor < 0.4  # or four pools and Ray's tasks wait for each other


def test_one_specialist_has_both_cores_to_itself() -> None:
    one = plan(Node(2, 0, 7 * GB), specialists=1)
    assert (one.actors, one.threads, one.turns) == (1, 2, 1)


def test_one_gpu_holds_four_quarters() -> None:
    one = plan(Node(4, 1, 5 * GB))
    assert (one.provider, one.actors, one.gpus_per_actor, one.turns) == ("cuda", 1, 0.25, 0)
    assert 4 * one.cpus_per_actor + RAY_TASK_CPUS <= 4


def test_openvino_is_planned_as_a_cpu_is() -> None:
    on_cpu, other = plan(Node(8, 0, 20 * GB)), plan(Node(8, 1, 20 * GB), provider="openvino")
    assert (other.provider, other.gpus_per_actor) == ("openvino", 0)
    assert (other.actors, other.threads, other.turns) == (on_cpu.actors, on_cpu.threads, on_cpu.turns)


@pytest.mark.parametrize("cpus", [2, 3, 4, 8, 16, 32, 96])
@pytest.mark.parametrize("specialists", [1, 2, 4])
@pytest.mark.parametrize("nodes", [1, 5])
def test_cpu_nodes_are_filled_and_not_overfilled(cpus: int, specialists: int, nodes: int) -> None:
    filled = plan(*[Node(cpus, 0, 20 * GB)] * nodes, specialists=specialists)
    assert filled.turns * filled.threads <= cpus
    assert filled.turns * filled.threads > 0.7 * cpus or cpus < 4
    a_node = filled.actors / nodes
    assert specialists * a_node >= filled.turns  # or cores stay idle
    assert specialists * a_node * filled.cpus_per_actor + RAY_TASK_CPUS <= cpus


@pytest.mark.parametrize("cpus", [2, 4, 64])
def test_probes_run_side_by_side_where_ray_data_reserves_no_more_than_an_equal_part(cpus: int) -> None:
    """A source that does not answer must not hold up the others."""
    operators = 9  # two repartitions, probe, cut, four pools, stitch
    reserved = 0.5 * cpus / operators
    assert int(reserved / PROBE_CPUS) >= max(2, cpus)


def test_many_gpu_nodes_beside_an_idle_head() -> None:
    many = plan(Node(0, 0, 2 * GB), *[Node(4, 1, 5 * GB)] * 16)
    assert many.actors == 16


def test_sections_fit_the_object_store() -> None:
    small = plan(Node(2, 0, 0.6 * GB)).chunks_per_section
    assert small * STORE_PER_MIX * CHUNK_BYTES <= 0.6 * GB < (small + 1) * STORE_PER_MIX * CHUNK_BYTES
    assert plan(Node(2, 0, 100 * GB)).chunks_per_section == MOST_CHUNKS


def test_a_longer_section_is_taken_with_a_warning() -> None:
    asked = plan(Node(2, 0, 1 * GB), chunks_per_section=100)
    assert asked.chunks_per_section == 100
    assert "those over 11 chunks will spill" in " ".join(asked.describe())


def test_what_is_given_is_taken() -> None:
    given = plan(Node(8, 0, 20 * GB), threads=1, actors=1, turns=3, batch=2, chunks_per_section=5)
    assert (given.threads, given.actors, given.max_actors, given.turns) == (1, 1, 1, 3)
    assert (given.batch, given.chunks_per_section) == (2, 5)
    assert plan(Node(8, 0, 20 * GB), max_actors=9).max_actors == 9


@pytest.mark.parametrize(
    ("nodes", "asked", "words"),
    [
        ([Node(2, 0, 7 * GB)], {"provider": "cuda"}, "needs a GPU; the cluster's 1 nodes have none"),
        ([Node(4, 1, 7 * GB)], {"gpus_per_actor": 0.3}, "1.2; the cluster has 1 GPUs"),
        ([Node(2, 0, 7 * GB)], {"cpus_per_actor": 0.4}, "2.6; the cluster has 2 CPUs"),
        ([Node(4, 0, 7 * GB)], {"cpus_per_actor": 0.3}, "fused"),
        ([Node(2, 0, 7 * GB)], {"actors": 4}, "the cluster has 2 CPUs"),
        ([Node(1, 0, 7 * GB)], {}, "a node needs 2"),
        ([Node(2, 0, 0.05 * GB)], {}, "one chunk needs 88 MB of object store.* the smallest has 50 MB"),
        ([Node(2, 0, 7 * GB)], {"actors": 3, "max_actors": 2}, "3 to 2 actors"),
        ([Node(0, 0, 7 * GB)], {}, "no node with a CPU or a GPU"),
    ],
)
def test_what_cannot_fit_is_refused_with_the_numbers(
    nodes: list[Node], asked: dict[str, Any], words: str
) -> None:
    with pytest.raises(PlanError, match=words):
        plan(*nodes, **asked)


def test_nodes_to_come_are_planned_for_like_present_ones() -> None:
    described = nodes_to_come(16, 4, 1, 16)
    assert described is not None
    assert plan(*described) == plan(*[Node(4, 1, 4 * GB)] * 16)
    assert nodes_to_come(None, None, 0, None) is None


@pytest.mark.parametrize("given", [(None, 4, 0, None), (2, None, 0, 16), (2, 4, 0, None), (0, 4, 0, 16)])
def test_nodes_to_come_are_described_whole(given: tuple[Any, ...]) -> None:
    with pytest.raises(UsageError, match="node"):
        nodes_to_come(*given)
