"""What the metrics count, without Ray; tests/integration/test_metrics.py reads them at a node's port."""

import pytest

from jobs.pipeline.job import Job
from jobs.pipeline.metrics import chunk_seconds
from jobs.pipeline.sizing import JobPlan
from separation.contract import Contract
from separation.models.bag import Bag, GraphFile, WeightedRow
from separation.options import Options
from tests.stores import STORE

RATE = 48_000  # Hz
CONTRACTS = {
    "short": Contract(RATE, 2, 4 * RATE, 3 * RATE, RATE // 2),
    "long": Contract(RATE, 2, 10 * RATE, 10 * RATE, RATE // 2),
}


def job(stems: tuple[str, ...] = (), shifts: int = 0) -> Job:
    """Of a bag with a graph for each contract."""

    def graph(contract: str) -> GraphFile:
        return GraphFile(f"{contract}.onnx", "0" * 64, 1, contract, ("row",), "fp32", "", "")

    recipes = {name: (WeightedRow(name, "row"),) for name in CONTRACTS}
    bag = Bag(".", "two", CONTRACTS, {name: graph(name) for name in CONTRACTS}, recipes)
    plan = JobPlan("cpu", 1, 1, 1.0, 0.0, 1, 0, 1, 4, 4, 2**22)
    return Job("r1", "out", bag, Options(stems=stems, shifts=shifts), plan, "cache", 0, 0.0, STORE)


@pytest.mark.parametrize("seconds", [1, 30.5, 120])
@pytest.mark.parametrize("shifts", [0, 2])
@pytest.mark.parametrize("graph", CONTRACTS)
def test_the_chunks_of_a_graph_sum_to_the_track(graph: str, shifts: int, seconds: float) -> None:
    """Whatever chunks the graphs of another contract have; with two shifts, over both grids."""
    this, length = job(shifts=shifts), round(seconds * RATE)
    own = [section for section in this.sections(length) if section.contract == graph]
    chunks = sum(len(section.chunks) for section in own)
    assert chunks * chunk_seconds(this, graph, length) == pytest.approx(seconds)
    assert chunk_seconds(job((graph,), shifts), graph, length) == chunk_seconds(this, graph, length)
