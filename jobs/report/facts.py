"""An output's tables -> the facts of a report.

The tables are read a file at a time and only in the columns that are used. What stays in memory is
three numbers a track (16 bytes: 16 MB for a million), and what the report shows.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from jobs.pipeline.output import tables
from jobs.report import benchmark
from jobs.report.benchmark import Benchmark
from jobs.report.tally import TIMINGS_READ, TRACKS_READ, Errors, Run, Sampled, Slow, Specialist, Tally
from jobs.report.timeline import Bin, draw_timeline
from separation.errors import StorageError
from separation.store.objects import join, read_bytes


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars from the first probe of each run to its last finished track, on the nodes that inferred."""

    usd_per_node_hour: float
    node_hours: float
    audio_hours: float

    @property
    def usd(self) -> float:
        return self.usd_per_node_hour * self.node_hours

    @property
    def usd_per_audio_hour(self) -> float | None:
        return self.usd / self.audio_hours if self.audio_hours else None


@dataclass(frozen=True, slots=True)
class Facts:
    """`record` is `run.json`, of the last run; empty if there is none.

    Of a benchmark, all but `output` and `benchmark` are those of its last run.
    """

    output: str
    made_at: datetime
    record: dict[str, Any]
    usd_per_node_hour: float | None
    runs: list[Run]  # in the order of time
    stages: dict[str, float]  # worker seconds on the road outside of the specialists
    specialists: list[Specialist]
    timeline: list[Bin]
    errors: list[Errors]  # the most frequent kind first
    slowest: list[Slow]
    median_chunk_s: float | None
    samples: list[Sampled]
    benchmark: Benchmark | None = None

    @property
    def done(self) -> int:
        return sum(run.done for run in self.runs)

    @property
    def failed(self) -> int:
        return sum(run.failed for run in self.runs)

    @property
    def catalogue_tracks(self) -> int | None:
        """How many the last run found in its catalogue, if `run.json` says it.

        None too if the output holds more: then it is not this catalogue's alone.
        """
        tracks = (self.record.get("catalogue") or {}).get("tracks")
        return tracks if tracks and tracks >= self.done + self.failed else None

    @property
    def audio_s(self) -> float:
        return sum(run.audio_s for run in self.runs)

    @property
    def wall_s(self) -> float:
        return sum(run.wall_s for run in self.runs)

    @property
    def last_finished_at(self) -> datetime | None:
        return max((run.ended_at for run in self.runs), default=None)

    @property
    def actors(self) -> int | None:
        """Of each specialist, at most, as the last run planned them."""
        plan = self.record.get("plan") or {}
        return plan.get("max_actors") or plan.get("actors")

    @property
    def cost(self) -> Cost | None:
        if self.usd_per_node_hour is None:
            return None
        node_hours = sum(run.wall_s * len(run.nodes) for run in self.runs) / 3600
        return Cost(self.usd_per_node_hour, node_hours, self.audio_s / 3600)

    def utilisation(self, specialist: Specialist) -> tuple[float, float] | None:
        """Shares of its actors' time in inference and in waiting for a turn; None if nobody knows."""
        if not self.actors or not self.wall_s:
            return None
        have_s = self.actors * self.wall_s
        busy = min(1.0, specialist.infer_s / have_s)
        return busy, min(1.0 - busy, specialist.queue_s / have_s)


def gather(output: str, price: float | None = None) -> Facts:
    """What can be said of `output`, be it finished, running, empty or a benchmark's.

    `price` is that of a node-hour in dollars, instead of what `run.json` may say.
    """
    record = read_record(output)
    if not record and (found := benchmark.find(output)):
        if price is None and found.summary and found.summary["figures"]["price"]:
            price = found.summary["figures"]["price"]["usd_per_node_hour"]
        return replace(gather(found.run, price), output=output, benchmark=found)
    tally = Tally()
    for tracks, timings in tables.read_pairs(output, TRACKS_READ, TIMINGS_READ):
        tally.add(tracks, timings)
    runs = tally.runs()
    return Facts(
        output=output,
        made_at=datetime.now(UTC),
        record=record,
        usd_per_node_hour=price_in(record) if price is None else price,
        runs=runs,
        stages=tally.stages,
        specialists=tally.specialists(),
        timeline=draw_timeline(runs, tally.moments()),
        errors=tally.errors(),
        slowest=tally.slowest(),
        median_chunk_s=tally.median_chunk_s(),
        samples=[rebased(sample, record, output) for sample in tally.samples()],
    )


def rebased(sample: Sampled, record: dict[str, Any], output: str) -> Sampled:
    """`sample` with its stems below `output`, where the run wrote them below a folder since copied there."""
    written_to = str((record.get("arguments") or {}).get("output") or output).rstrip("/") + "/"
    stems = {
        stem: join(output, uri.removeprefix(written_to)) if uri.startswith(written_to) else uri
        for stem, uri in sample.stems.items()
    }
    return replace(sample, stems=stems)


def price_in(record: dict[str, Any]) -> float | None:
    """Dollars a node-hour: `price` as a number, or as an object that has it as `usd_per_node_hour`."""
    price = record.get("price")
    if isinstance(price, dict):
        price = price.get("usd_per_node_hour")
    return float(price) if isinstance(price, int | float) else None


def read_record(output: str) -> dict[str, Any]:
    """`run.json`, or nothing where it is not yet written."""
    uri = join(output, "run.json")
    try:
        record: Any = json.loads(read_bytes(uri))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StorageError(uri, f"expected the JSON that a run writes: {error}") from error
    if not isinstance(record, dict):
        raise StorageError(uri, f"expected a JSON object, found {type(record).__name__}")
    return record
