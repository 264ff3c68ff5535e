"""Hours and dollars, by hand."""

import pytest

from jobs.pipeline.cost import prices, projection
from separation.errors import UsageError
from tests.outputs import benchmark_summary


def test_a_million_tracks() -> None:
    hours = projection.parse_hours("1000000x4")
    assert hours == pytest.approx(66_666.67, abs=0.01)
    (throughput,) = projection.stated(["g6.xlarge=40"], None)
    projected = projection.project(hours, throughput)
    assert projected.node_hours == pytest.approx(1666.67, abs=0.01)
    assert projected.nodes == 70  # 69.4 nodes would take exactly a day
    assert projected.hours == pytest.approx(23.81, abs=0.01)
    assert projected.usd == pytest.approx(1666.67 * prices.find("g6.xlarge").usd_per_hour, abs=0.01)
    assert projected.usd_spot == pytest.approx(projected.usd * prices.find("g6.xlarge").spot_fraction)


def test_a_measured_cpu_node_stands_for_larger_ones() -> None:
    found = {each.node: each for each in projection.measured(benchmark_summary(), None)}
    assert set(found) == {"as measured", "c7i.4xlarge", "c7a.4xlarge", "c8g.4xlarge"}
    assert found["as measured"].usd_per_hour == 0.1
    assert found["c7i.4xlarge"].x_realtime == 0.5 * 16 / 2
    assert "assumed: throughput follows the number of CPUs" in found["c7i.4xlarge"].basis


def test_a_measured_gpu_stands_for_its_own_kind_alone() -> None:
    l4 = benchmark_summary(gpus=1.0, devices=["NVIDIA L4"])
    assert {each.node for each in projection.measured(l4, None)} == {"as measured", "g6.xlarge", "g6.4xlarge"}
    h100 = benchmark_summary(gpus=1.0, devices=["NVIDIA H100"])
    assert {each.node for each in projection.measured(h100, 3.0)} == {"as measured"}


@pytest.mark.parametrize("text", ["", "x4", "0", "-1", "nan", "1e400", "12 hours"])
def test_no_audio_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        projection.parse_hours(text)


@pytest.mark.parametrize("given", ["40", "g6.xlarge=0", "g6.xlarge=fast", "g9.xlarge=40"])
def test_a_throughput_that_cannot_be_priced_is_refused(given: str) -> None:
    with pytest.raises(UsageError):
        projection.stated([given], None)


def test_every_assumption_is_named() -> None:
    words = "\n".join(projection.assumptions(projection.stated(["g6.xlarge=40"], None), "vocals"))
    for needed in ("not measured", "vocals", "us-east-1", "read 2026-", "https://", "spot", "head node"):
        assert needed in words
