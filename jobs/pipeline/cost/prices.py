"""The price of a node-hour: from `prices.json`, or as the user gives it."""

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
    """A kind of node, as `prices.json` has it."""

    name: str
    vcpus: int
    gpus: int
    gpu: str  # as nvidia-smi names it; empty without a GPU
    usd_per_hour: float  # on demand
    spot_fraction: float  # the spot price over the one on demand


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a node."""

    usd_per_node_hour: float
    basis: str  # where it comes from, for people


@cache
def _file() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads(files(__package__).joinpath("prices.json").read_text())
    return content


def instances() -> list[Instance]:
    return [Instance(**entry) for entry in _file()["instances"]]


def source() -> str:
    """Region, terms, date and origin of the prices, in one sentence for every table that shows them."""
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

    The price `given` by the user comes first, then that of the instance `name`. Otherwise a CPU node costs
    the file's median price per vCPU, and a GPU node its cheapest entry with as many of the same GPU; None
    if the file has no such GPU.
    """
    if given is not None:
        if not (math.isfinite(given) and given > 0):
            raise UsageError(f"--price {given}: expected USD per node-hour, above 0")
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
            f"assumed: {cpus:g} CPUs at {each:.4f} USD per vCPU-hour, the median of the CPU instances in "
            f"prices.json ({_file()['region']}, on demand)",
        )
    same = [i for i in instances() if i.gpu == device and i.gpus == gpus]
    if not same:
        return None
    cheapest = min(same, key=lambda instance: instance.usd_per_hour)
    basis = f"assumed: {cheapest.name}, the cheapest with {device} in prices.json"
    return Price(cheapest.usd_per_hour, f"{basis} ({_file()['region']}, on demand)")
