"""What a catalogue will cost: audio-hours / throughput x price, with every assumption in a sentence."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.pipeline.cost import prices
from jobs.pipeline.cost.prices import Instance, Price
from separation.errors import UsageError

if TYPE_CHECKING:  # its types need msgspec, which `jobs.benchmark --help` does without
    from jobs.pipeline.cost.summary import Summary

WITHIN_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """The speed and the price of one node."""

    node: str  # an instance's name, or a description
    x_realtime: float  # seconds of audio per second, for the stems that were run
    usd_per_hour: float
    spot_fraction: float | None
    basis: str  # where the numbers come from, for people


@dataclass(frozen=True, slots=True)
class Projection:
    throughput: Throughput
    node_hours: float
    nodes: int  # as many as finish within the time that was asked for
    hours: float  # that these nodes take
    usd: float
    usd_spot: float | None


def parse_hours(text: str) -> float:
    """Parses `50000`, audio-hours, or `1000000x4`, tracks x minutes."""
    if match := re.fullmatch(r"([\d.]+)x([\d.]+)", text):
        hours = float(match[1]) * float(match[2]) / 60
    else:
        try:
            hours = float(text)
        except ValueError:
            raise UsageError(f"{text!r}: expected audio-hours, or TRACKSxMINUTES as in 1000000x4") from None
    if not (math.isfinite(hours) and hours > 0):
        raise UsageError(f"{text!r}: expected a number above 0")
    return hours


def project(audio_hours: float, throughput: Throughput, within_hours: float = WITHIN_HOURS) -> Projection:
    node_hours = audio_hours / throughput.x_realtime
    nodes = math.ceil(node_hours / within_hours)
    usd = node_hours * throughput.usd_per_hour
    spot = None if throughput.spot_fraction is None else usd * throughput.spot_fraction
    return Projection(throughput, node_hours, nodes, node_hours / nodes, usd, spot)


def stated(given: Sequence[str], price: float | None) -> list[Throughput]:
    """Parses `g6.xlarge=19`, an instance of prices.json and its throughput; `19` alone needs `--price`."""
    found = []
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            x_realtime = float(number)
        except ValueError:
            x_realtime = math.nan
        if not (math.isfinite(x_realtime) and x_realtime > 0):
            raise UsageError(f"--x-realtime {text!r}: expected INSTANCE=NUMBER, or NUMBER with --price")
        if not name and price is None:
            raise UsageError(f"--x-realtime {text}: without an instance it needs --price USD_PER_NODE_HOUR")
        if name:
            instance = prices.find(name)
            usd, spot = (instance.usd_per_hour, instance.spot_fraction) if price is None else (price, None)
        else:
            usd, spot = price or 0.0, None
        basis = f"x{x_realtime:g} realtime was stated with --x-realtime, not measured"
        found.append(Throughput(name or "one node", x_realtime, usd, spot, basis))
    return found


def measured(summary: "Summary", price: float | None) -> list[Throughput]:
    """The measured node at its price, and the instances of prices.json that can be derived from it.

    Throughput is assumed to be proportional to the number of CPUs, which is not measured. A GPU says
    nothing about another kind of GPU.
    """
    figures, cluster = summary.figures, summary.cluster
    x_realtime, cpus = figures.x_realtime_per_node, cluster.cpus / cluster.nodes
    device = " and ".join(cluster.devices)
    what = f"x{x_realtime:.3g} realtime per node, measured {summary.created_at[:10]} on {device}"
    node = figures.price if price is None else Price(price, "given by --price")
    found = []
    if node is not None:
        basis = f"{what}; price {node.basis}"
        found.append(Throughput("as measured", x_realtime, node.usd_per_node_hour, None, basis))
    if cluster.gpus:
        each = cluster.gpus / cluster.nodes
        same = [i for i in prices.instances() if i.gpu in cluster.devices and i.gpus == each]
        return found + [_from(i, x_realtime, what) for i in same]
    by_core = f"{what} of {cpus:g} CPUs; assumed: throughput follows the number of CPUs"
    return found + [_from(i, x_realtime * i.vcpus / cpus, by_core) for i in prices.instances() if not i.gpus]


def _from(instance: Instance, x_realtime: float, basis: str) -> Throughput:
    return Throughput(instance.name, x_realtime, instance.usd_per_hour, instance.spot_fraction, basis)


def assumptions(throughputs: Sequence[Throughput], stems: str) -> list[str]:
    """One sentence for each assumption behind the figures."""
    bases: dict[str, list[str]] = {}
    for throughput in throughputs:
        bases.setdefault(throughput.basis, []).append(throughput.node)
    return [
        *(f"{', '.join(nodes)}: {basis}" for basis, nodes in bases.items()),
        f"stems: {stems}; a graph costs the same for some of its stems as for all; half the graphs cost half",
        "throughput is that of the work itself: the minutes in which nodes and models start are not included",
        "n nodes do n times the work of one (docs/benchmarks.md says up to how many)",
        "tracks have the lengths and formats of those measured; errors cost nothing",
        f"prices: {prices.source()}",
        "spot: the fraction in prices.json; repeated work after a node is reclaimed is not included",
        "not included: the head node, disks, requests to the store, traffic out of the region",
    ]
