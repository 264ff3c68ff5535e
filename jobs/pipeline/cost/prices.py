"""What an hour of a node costs: `prices.json`, or the number that a user gives."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from separation.errors import UsageError


@dataclass(frozen=True, slots=True)
class Instance:
    """A kind of node; `usd_per_hour` on demand, spot at `spot_fraction` of it."""

    name: str
    vcpus: int
    gpus: int
    gpu: str  # as nvidia-smi names it; empty without
    usd_per_hour: float
    spot_fraction: float


@dataclass(frozen=True, slots=True)
class Price:
    """A node's price, and in words where it comes from."""

    usd_per_node_hour: float
    basis: str


@cache
def _file() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(files(__package__).joinpath("prices.json").read_text())
    return content


def instances() -> list[Instance]:
    return [Instance(**entry) for entry in _file()["instances"]]


def source() -> str:
    """Region, terms, date and origin of the prices, as one sentence for every table that shows them."""
    about = _file()
    return f"{about['region']}, {about['terms']}; read {about['read_on']} from {about['source']}"


def find(name: str) -> Instance:
    for instance in instances():
        if instance.name == name:
            return instance
    known = ", ".join(instance.name for instance in instances())
    raise UsageError(f"no price for {name!r}; prices.json has {known}. --price gives any other")


def price_of(cpus: float, gpus: float, device: str, given: float | None, name: str | None) -> Price | None:
    """The price of a node with `cpus` and `gpus` whose inferences run on `device`.

    First what the user gave, then the instance that they named. Otherwise a CPU node costs the median
    price a vCPU in the file, and a GPU node the cheapest entry with the same GPU as often; None
    where the file has no such GPU.
    """
    if given is not None:
        if not (math.isfinite(given) and given > 0):
            raise UsageError(f"--price {given}: expected USD a node-hour above 0")
        return Price(given, "given by --price")
    if name:
        instance = find(name)
        unlike = f"; it has {instance.vcpus} vCPUs, this node {cpus:g}" if instance.vcpus != cpus else ""
        return Price(instance.usd_per_hour, f"{name} on demand, {_file()['region']}{unlike}")
    if not gpus:
        each = sorted(i.usd_per_hour / i.vcpus for i in instances() if not i.gpus)[
            sum(not i.gpus for i in instances()) // 2
        ]
        return Price(
            each * cpus,
            f"assumed: {cpus:g} CPUs at {each:.4f} USD a vCPU-hour, the median of the CPU instances in "
            f"prices.json ({_file()['region']}, on demand)",
        )
    same = [i for i in instances() if i.gpu == device and i.gpus == gpus]
    if not same:
        return None
    cheapest = min(same, key=lambda instance: instance.usd_per_hour)
    basis = f"assumed: {cheapest.name}, the cheapest with {device} in prices.json"
    return Price(cheapest.usd_per_hour, f"{basis} ({_file()['region']}, on demand)")
