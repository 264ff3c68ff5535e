"""The price file, and which price a node has."""

import pytest

from jobs.pipeline.cost import prices
from separation.errors import UsageError


def test_the_file_holds_what_is_compared() -> None:
    found = prices.instances()
    assert {instance.name.partition(".")[0] for instance in found} == {"g6", "c7i", "c7a", "c8g"}
    for instance in found:
        assert 0 < instance.usd_per_hour < 100
        assert 0 < instance.spot_fraction <= 1
        assert bool(instance.gpu) == bool(instance.gpus)
    assert "https://" in prices.source()


def test_which_price_a_node_has() -> None:
    def usd(*arguments: object) -> float:
        price = prices.price_of(*arguments)  # type: ignore[arg-type]
        assert price
        return price.usd_per_node_hour

    assert usd(2, 0, "A CPU", 0.3, "c7i.4xlarge") == 0.3
    assert usd(2, 0, "A CPU", None, "c7i.4xlarge") == prices.find("c7i.4xlarge").usd_per_hour
    assert usd(4, 1, "NVIDIA L4", None, None) == prices.find("g6.xlarge").usd_per_hour
    assert usd(32, 0, "A CPU", None, None) == pytest.approx(2 * prices.find("c7i.4xlarge").usd_per_hour)
    assert prices.price_of(4, 1, "NVIDIA H100", None, None) is None
    unlike = prices.price_of(2, 0, "A CPU", None, "c7i.4xlarge")
    assert unlike and "it has 16 vCPUs, this node 2" in unlike.basis


@pytest.mark.parametrize("given", [0.0, -1.0, float("nan"), float("inf")])
def test_a_price_below_nothing_is_refused(given: float) -> None:
    with pytest.raises(UsageError):
        prices.price_of(2, 0, "A CPU", given, None)


def test_an_unknown_instance_names_the_known() -> None:
    with pytest.raises(UsageError, match=r"g6\.xlarge"):
        prices.find("m5.large")
