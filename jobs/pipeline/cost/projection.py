"""What a catalogue will cost: audio-hours / throughput x price, with every assumption in words."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobs.pipeline.cost import prices
from jobs.pipeline.cost.prices import Instance
from separation.errors import UsageError

WITHIN_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one node does: audio-seconds a second of the whole bag, or of the stems that were run."""

    node: str
    x_realtime: float
    usd_per_hour: float
    spot_fraction: float | None
    basis: str


@dataclass(frozen=True, slots=True)
class Projection:
    throughput: Throughput
    node_hours: float
    nodes: int  # that finish within the wished time
    hours: float  # that they take
    usd: float
    usd_spot: float | None


def parse_hours(text: str) -> float:
    """`50000` audio-hours, or `1000000x4`: tracks x minutes."""
    if match := re.fullmatch(r"([\d.]+)x([\d.]+)", text):
        hours = float(match[1]) * float(match[2]) / 60
    else:
        try:
            hours = float(text)
        except ValueError:
            raise UsageError(f"{text!r}: expected audio-hours, or TRACKSxMINUTES as in 1000000x4") from None
    if not (math.isfinite(hours) and hours > 0):
        raise UsageError(f"{text!r}: expected more than no audio")
    return hours


def project(audio_hours: float, throughput: Throughput, within_hours: float = WITHIN_HOURS) -> Projection:
    node_hours = audio_hours / throughput.x_realtime
    nodes = math.ceil(node_hours / within_hours)
    usd = node_hours * throughput.usd_per_hour
    spot = None if throughput.spot_fraction is None else usd * throughput.spot_fraction
    return Projection(throughput, node_hours, nodes, node_hours / nodes, usd, spot)


def stated(given: Sequence[str], price: float | None) -> list[Throughput]:
    """`g6.xlarge=40`: an instance of prices.json and its stated throughput; `40` alone needs `--price`."""
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
        found.append(Throughput(name or "a node", x_realtime, usd, spot, basis))
    return found


def measured(summary: dict[str, Any], price: float | None) -> list[Throughput]:
    """The measured node at its price, and the instances of the same kind that it can stand for.

    Between CPU nodes throughput is taken to follow the number of CPUs, which no one has measured; from
    a GPU nothing is taken over to another.
    """
    figures, cluster = summary["figures"], summary["cluster"]
    x_realtime, cpus = figures["x_realtime_per_node"], cluster["cpus"] / cluster["nodes"]
    device = " and ".join(cluster["devices"])
    what = f"x{x_realtime:.3g} realtime a node, measured {summary['created_at'][:10]} on {device}"
    if price is not None or figures["price"]:
        usd = price if price is not None else figures["price"]["usd_per_node_hour"]
        basis = "given by --price" if price is not None else figures["price"]["basis"]
        found = [Throughput("as measured", x_realtime, usd, None, f"{what}; price {basis}")]
    else:
        found = []
    if cluster["gpus"]:
        each = cluster["gpus"] / cluster["nodes"]
        same = [i for i in prices.instances() if i.gpu in cluster["devices"] and i.gpus == each]
        return found + [_from(i, x_realtime, what) for i in same]
    by_core = f"{what} of {cpus:g} CPUs; assumed: throughput follows the number of CPUs"
    return found + [_from(i, x_realtime * i.vcpus / cpus, by_core) for i in prices.instances() if not i.gpus]


def _from(instance: Instance, x_realtime: float, basis: str) -> Throughput:
    return Throughput(instance.name, x_realtime, instance.usd_per_hour, instance.spot_fraction, basis)


def assumptions(throughputs: Sequence[Throughput], stems: str) -> list[str]:
    """Everything that the figures rest on, a sentence each."""
    bases: dict[str, list[str]] = {}
    for throughput in throughputs:
        bases.setdefault(throughput.basis, []).append(throughput.node)
    return [
        *(f"{', '.join(nodes)}: {basis}" for basis, nodes in bases.items()),
        f"stems: {stems}; half of the stems cost half",
        "throughput is that of the work itself: the minutes in which nodes and models start are not in it",
        "nodes add up: n nodes do n times the work of one (docs/benchmarks.md says to how many)",
        "tracks are like those measured in length and format; errors cost nothing",
        f"prices: {prices.source()}",
        "spot: the fraction in prices.json; work that a taken node repeats is not in it",
        "not in it: the head node, disks, requests to the store, traffic out of the region",
    ]
