import re
from collections.abc import Sequence
from typing import Any

import pytest

from jobs.pipeline.sizing import (
    FEWEST_CHUNKS,
    MOST_CHUNKS,
    PROBE_CPUS,
    RAY_TASK_CPUS,
    TASK_CPUS,
    JobPlan,
    Node,
    Workload,
    nodes_to_come,
    plan_job,
)
from separation.contract import HTDEMUCS
from separation.errors import PlanError, UsageError
from separation.options import Format

GB = 1e9
CHUNK_BYTES = 4 * HTDEMUCS.channels * HTDEMUCS.segment


def plan(
    *nodes: Node,
    graphs: int = 4,
    stems: int | None = None,
    provider: str = "auto",
    written: int = 4,
    format: Format = "wav",
    precision: str = "fp32",
    **overrides: Any,
) -> JobPlan:
    work = Workload(graphs, stems or graphs, CHUNK_BYTES, written, format, frozenset([precision]))
    return plan_job(nodes, work, provider, overrides)


def cpu_node(cpus: int, gb_per_cpu: float = 4) -> Node:
    """Whose object store is a quarter of its memory."""
    return Node(cpus, 0, cpus * gb_per_cpu / 4 * GB)


@pytest.mark.parametrize(
    ("graphs", "two", "sixteen", "small_sixteen"),
    [  # actors per graph, threads, slots; on 2 CPUs, on 16, and on 16 with 2 GB of memory per CPU
        (1, (2, 1, 2), (16, 1, 16), (8, 2, 8)),
        (4, (1, 1, 2), (4, 1, 16), (2, 2, 8)),
        (6, (1, 1, 2), (3, 1, 16), (2, 2, 8)),
        (8, (1, 1, 2), (2, 1, 16), (1, 2, 8)),
    ],
)
def test_cores_are_filled_by_sessions_of_few_threads(
    graphs: int, two: Sequence[int], sixteen: Sequence[int], small_sixteen: Sequence[int]
) -> None:
    nodes = [cpu_node(2), cpu_node(16), cpu_node(16, gb_per_cpu=2)]
    for node, expected in zip(nodes, (two, sixteen, small_sixteen), strict=True):
        of_node = plan(node, graphs=graphs, stems=max(graphs, 4))
        assert (of_node.actors, of_node.threads, of_node.turns) == expected
        assert (of_node.provider, of_node.batch) == ("cpu", 1)


def test_one_graph_on_two_cpus_without_memory_for_two_sessions_has_both_cores() -> None:
    one = plan(Node(2, 0, 0.9 * GB), graphs=1)
    assert (one.actors, one.threads, one.turns) == (1, 2, 1)


@pytest.mark.parametrize(
    ("graphs", "actors", "share"), [(1, 2, 0.5), (4, 1, 0.25), (6, 1, 0.1666), (8, 1, 0.125)]
)
@pytest.mark.parametrize("gpus", [1, 4])
def test_a_gpu_is_shared_by_all_graphs_and_by_two_actors_of_a_lone_one(
    graphs: int, actors: int, share: float, gpus: int
) -> None:
    on_gpu = plan(Node(4 * gpus, gpus, 8 * gpus * GB), graphs=graphs, stems=max(graphs, 4))
    assert (on_gpu.provider, on_gpu.actors, on_gpu.turns) == ("cuda", actors * gpus, 0)
    assert on_gpu.gpus_per_actor == share
    assert graphs * on_gpu.actors * on_gpu.gpus_per_actor <= gpus
    assert graphs * on_gpu.actors * on_gpu.cpus_per_actor + RAY_TASK_CPUS <= 4 * gpus
    assert on_gpu.chunks_per_section % on_gpu.batch == 0


@pytest.mark.parametrize(
    ("batch", "chunks_per_section", "rows"), [(None, None, 4), (3, None, 6), (16, None, 16), (None, 2, 2)]
)
def test_an_actor_on_a_gpu_gets_few_chunks_at_once_in_whole_batches(
    batch: int | None, chunks_per_section: int | None, rows: int
) -> None:
    """Ray joins blocks of fewer rows, so a call's are no more than those of the shortest sections."""
    on_gpu = plan(Node(4, 1, 8 * GB), batch=batch, chunks_per_section=chunks_per_section)
    assert (on_gpu.batch, on_gpu.rows_per_call) == (batch or 1, rows)
    assert rows <= max(on_gpu.batch, on_gpu.section_chunks(1))


@pytest.mark.parametrize(
    ("cpus", "format", "precision", "graphs", "written", "need", "words"),
    [  # 157, 45, 7 and 2 ms of CPU for a second of four stems, at 35 (fp16) and 19 (fp32) x realtime
        (4, "mp3", "fp16", 4, 4, 5.495, "5.5 CPUs per GPU .* 3 are there, .* busy 55% of the time"),
        (4, "mp3", "fp32", 4, 4, 2.983, r" 3 CPUs per GPU .* 3 are there$"),
        (8, "mp3", "fp16", 4, 4, 5.495, r" 7 are there$"),
        (4, "ogg", "fp16", 4, 4, 1.575, r"1\.6 CPUs"),
        (4, "flac", "fp16", 4, 4, 0.245, r"0\.24 CPUs"),
        (4, "wav", "fp32", 4, 4, 0.038, r"0\.038 CPUs"),
        (4, "mp3", "fp16", 1, 2, 10.99, r" 11 CPUs"),  # one model, four times as fast; it and the rest
    ],
)
def test_the_cpus_that_encoders_need_beside_a_gpu(
    cpus: int, format: Format, precision: str, graphs: int, written: int, need: float, words: str
) -> None:
    node = Node(cpus, 1, 8 * GB)
    one, three = (
        plan(*[node] * count, graphs=graphs, written=written, format=format, precision=precision)
        for count in (1, 3)
    )
    assert one.encoder_cpus == three.encoder_cpus == pytest.approx(need, abs=0.001)
    assert one.spare_cpus == three.spare_cpus
    assert re.search(words, one.describe()[-1])


def test_cpu_nodes_beside_a_gpu_encode_too_and_without_one_nothing_is_said() -> None:
    gpu = Node(4, 1, 8 * GB)
    assert plan(gpu, Node(16, 0, 8 * GB), format="mp3").spare_cpus == 19
    on_cpu = plan(Node(4, 0, 8 * GB), format="mp3")
    assert (on_cpu.encoder_cpus, on_cpu.spare_cpus) == (0, 0)
    assert "encoding" not in " ".join(on_cpu.describe())


@pytest.mark.parametrize("provider", ["auto", "cuda"])
def test_int8_is_not_for_gpus(provider: str) -> None:
    with pytest.raises(UsageError, match="int8 models are for CPUs"):
        plan(Node(4, 1, 8 * GB), provider=provider, precision="int8")
    assert plan(Node(4, 1, 8 * GB), provider="cpu", precision="int8").provider == "cpu"


def test_eight_graphs_on_a_gpu_of_two_cpus_take_less_than_a_quarter_each() -> None:
    assert plan(Node(2, 1, 8 * GB), graphs=8).cpus_per_actor == 0.12


def test_openvino_is_planned_as_a_cpu_is() -> None:
    on_cpu, other = plan(Node(8, 0, 20 * GB)), plan(Node(8, 1, 20 * GB), provider="openvino")
    assert (other.provider, other.gpus_per_actor) == ("openvino", 0)
    assert (other.actors, other.threads, other.turns) == (on_cpu.actors, on_cpu.threads, on_cpu.turns)


@pytest.mark.parametrize("cpus", [2, 3, 4, 7, 8, 15, 16, 32, 96])
@pytest.mark.parametrize("graphs", [1, 2, 3, 4, 6, 8, 10])
@pytest.mark.parametrize("store_gb", [2, 8, 30, 100])
@pytest.mark.parametrize("nodes", [1, 5])
def test_cpu_nodes_are_filled_and_not_overfilled(cpus: int, graphs: int, store_gb: int, nodes: int) -> None:
    filled = plan(*[Node(cpus, 0, store_gb * GB)] * nodes, graphs=graphs)
    assert filled.turns * filled.threads <= cpus
    assert filled.turns * filled.threads > 0.8 * cpus
    a_node = filled.actors / nodes
    assert graphs * a_node >= filled.turns  # or cores stay idle
    assert graphs * a_node * filled.cpus_per_actor + RAY_TASK_CPUS <= cpus + 1e-9
    assert 0 < filled.cpus_per_actor != TASK_CPUS


@pytest.mark.parametrize("cpus", [2, 4, 64])
@pytest.mark.parametrize("graphs", [1, 4, 6, 8])
def test_probes_run_side_by_side_where_ray_data_reserves_no_more_than_an_equal_part(
    cpus: int, graphs: int
) -> None:
    """A source that does not answer must not hold up the others."""
    operators = graphs + 5  # two repartitions, probe, cut, stitch
    reserved = 0.5 * cpus / operators
    assert int(reserved / PROBE_CPUS) >= max(2, cpus)


def test_probes_are_some_on_every_node_and_grow_with_the_pools() -> None:
    """Each is a process: as many as Ray has CPUs for would fill a node's memory."""
    assert [plan(cpu_node(cpus)).probes for cpus in (2, 4, 6, 64)] == [4, 4, 6, 8]
    assert plan(*[cpu_node(16)] * 3).probes == 24
    assert plan(cpu_node(16), actors=4, max_actors=10).probes == 3 * 8


def test_many_gpu_nodes_beside_an_idle_head() -> None:
    many = plan(Node(0, 0, 2 * GB), *[Node(4, 1, 5 * GB)] * 16)
    assert many.actors == 16


@pytest.mark.parametrize(
    ("graphs", "stems", "actors", "per_mix"),
    # What one actor of each pool takes and gives, times 32 / 23 and the actors: 23 for four graphs of one
    # stem, 1 + 4 for one graph of four.
    [(4, 4, 1, 32), (4, 4, 2, 64), (1, 4, 1, 5 * 32 / 23), (1, 4, 2, 10 * 32 / 23), (6, 6, 1, 47 * 32 / 23)],
)
def test_sections_fit_the_object_store(graphs: int, stems: int, actors: int, per_mix: float) -> None:
    bytes_per_chunk = per_mix * CHUNK_BYTES
    store = 10.5 * bytes_per_chunk
    held = plan(Node(2, 0, store), graphs=graphs, stems=stems, actors=actors, cpus_per_actor=0.1)
    assert held.chunks_per_section == held.store_chunks == 10
    assert plan(Node(2, 0, 100 * GB), graphs=graphs, stems=stems).chunks_per_section == MOST_CHUNKS


def test_a_longer_section_is_taken_with_a_warning() -> None:
    asked = plan(Node(2, 0, 1 * GB), chunks_per_section=100)
    assert asked.chunks_per_section == 100
    assert "those over 11 chunks will spill" in " ".join(asked.describe())


def test_sections_are_short_where_few_tracks_must_fill_the_pools() -> None:
    sixteen = plan(cpu_node(16, gb_per_cpu=8))  # 4 actors per graph, 160 sections wanted
    assert [sixteen.for_tracks(4, tracks).sections_per_track for tracks in (1, 12, 159, 160, 2000)] == [
        *(160, 14, 2, 1, 1)
    ]
    album = sixteen.for_tracks(4, 12)
    assert [album.section_chunks(chunks) for chunks in (1, 42, 140, 1229)] == [4, 4, 10, 64]
    assert "a track has at least 14, of 4 chunks or more" in " ".join(album.describe())
    assert sixteen.for_tracks(4, 2000) == sixteen


@pytest.mark.parametrize("batch", [1, 2, 3, 16])
@pytest.mark.parametrize("chunks", [1, 5, 41, 42, 500])
def test_short_sections_are_whole_batches(batch: int, chunks: int) -> None:
    """Or a GPU would see other batches than in long ones, and change its plans between them."""
    on_gpu = plan(Node(4, 1, 5 * GB), batch=batch).for_tracks(4, 12)
    size = on_gpu.section_chunks(chunks)
    assert size % batch == 0
    assert min(FEWEST_CHUNKS, batch) <= size <= MOST_CHUNKS


def test_what_is_given_is_taken() -> None:
    given = plan(Node(8, 0, 20 * GB), threads=1, actors=1, turns=3, batch=2, chunks_per_section=5)
    assert (given.threads, given.actors, given.max_actors, given.turns) == (1, 1, 1, 3)
    assert (given.batch, given.chunks_per_section) == (2, 5)
    assert plan(Node(8, 0, 20 * GB), max_actors=9).max_actors == 9
    assert plan(Node(16, 0, 20 * GB), threads=3).turns == 5


@pytest.mark.parametrize(
    ("nodes", "asked", "words"),
    [
        ([Node(2, 0, 7 * GB)], {"provider": "cuda"}, "needs a GPU; the cluster's 1 nodes have none"),
        ([Node(4, 1, 7 * GB)], {"gpus_per_actor": 0.3}, "1.2; the cluster has 1 GPUs"),
        ([Node(4, 1, 7 * GB)], {"graphs": 6, "gpus_per_actor": 0.25}, "1.5; the cluster has 1 GPUs"),
        ([Node(4, 1, 7 * GB)], {"graphs": 1, "actors": 3}, "1.5; the cluster has 1 GPUs"),
        ([Node(2, 0, 7 * GB)], {"cpus_per_actor": 0.4}, "2.6; the cluster has 2 CPUs"),
        ([Node(2, 0, 7 * GB)], {"graphs": 8, "cpus_per_actor": 0.25}, "8 pools of 1 .* need 3; .* 2 CPUs"),
        ([Node(4, 0, 7 * GB)], {"cpus_per_actor": 0.3}, "fused"),
        ([Node(2, 0, 7 * GB)], {"actors": 6}, "need 7; the cluster has 2 CPUs"),
        ([Node(1, 0, 7 * GB)], {}, "a node needs 2"),
        ([Node(1, 0, 7 * GB)], {"graphs": 1}, "a node needs 2"),
        ([Node(2, 0, 0.05 * GB)], {}, "one chunk needs 88 MB of object store.* the smallest has 50 MB"),
        ([Node(2, 0, 0.2 * GB)], {"graphs": 8}, r"needs 302 MB .*\(110 times its mix\).* has 200 MB"),
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
