"""From the tables of an output to the facts of a report.

The tables are read one file at a time, and only the columns that are used. Three numbers per track stay in
memory (16 bytes: 16 MB for a million tracks), beside what the report shows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pyarrow as pa

from jobs.pipeline.output import run_record, tables
from jobs.pipeline.output.folder import OutputFolder
from jobs.pipeline.output.run_record import RunRecord, State
from jobs.pipeline.output.run_state import state_of
from jobs.pipeline.output.table_files import DamagedTable
from jobs.report import benchmark
from jobs.report.benchmark import Benchmark
from jobs.report.entries import GraphUse, KindGroup, NodeUse, Run, SampleTrack, SlowTrack
from jobs.report.made_with import licences_of, records_of
from jobs.report.mixture import stems_of_mix
from jobs.report.tally import TIMINGS_READ, TRACKS_READ, Tally
from jobs.report.timeline import Bin, plan_bins
from separation.errors import UsageError
from separation.models.bag import Licence
from separation.store.objects import Store


@dataclass(frozen=True, slots=True)
class Cost:
    """What the nodes that inferred cost, from the first probe of each run to its last finished track."""

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
    """`record` is the last run's `run.json`; None if there is none.

    For a benchmark, all but `output` and `benchmark` are those of its last run.
    """

    output: str
    made_at: datetime
    record: RunRecord | None
    usd_per_node_hour: float | None
    runs: list[Run]  # in the order of time
    stages: dict[str, float]  # seconds of tasks, by stage; the graphs are apart
    graphs: list[GraphUse]
    timeline: list[Bin]
    errors: list[KindGroup]  # the most frequent kind first
    warnings: list[KindGroup]  # of tracks that are done
    nodes: list[NodeUse]  # the longest silent before its run's end first
    slowest: list[SlowTrack]
    median_chunk_s: float | None
    samples: list[SampleTrack]
    licences: dict[Licence, tuple[str, ...]]  # of the models -> their graphs; none of older runs
    benchmark: Benchmark | None = None
    damaged_tables: tuple[str, ...] = ()  # files that cannot be read: their tracks are left out
    ends: dict[str, str] = field(default_factory=dict)  # run id -> its `State`, of runs that have a record
    state: str | None = None  # a `State`, of the last run; None where an older version wrote `run.json`

    @property
    def done(self) -> int:
        return sum(run.done for run in self.runs)

    @property
    def failed(self) -> int:
        return sum(run.failed for run in self.runs)

    @property
    def unlisted_errors(self) -> int:
        """Tracks in error of which the page shows neither name nor sentence."""
        return self.failed - sum(len(group.examples) for group in self.errors)

    @property
    def catalogue_tracks(self) -> int | None:
        """The size of the last run's catalogue, if `run.json` says it.

        None, too, if the output holds more tracks: then they come from several catalogues.
        """
        tracks = self.record.catalogue.tracks if self.record else None
        return tracks if tracks and tracks >= self.done + self.failed else None

    @property
    def left(self) -> int | None:
        """Tracks of the last run's catalogue that are not in the tables, if its size is known."""
        tracks = self.catalogue_tracks
        return None if tracks is None else tracks - self.done - self.failed

    @property
    def eta_s(self) -> float | None:
        """Seconds until a running job is done, at the speed of the tracks that it has finished so far."""
        if self.state != State.RUNNING or self.record is None or not self.left:
            return None
        for run in self.runs:
            elapsed_s = (self.made_at - run.started_at).total_seconds()
            if run.run_id == self.record.run_id and elapsed_s > 0:
                return self.left * elapsed_s / (run.done + run.failed)
        return None

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
        """Per graph, at most, as the last run planned them."""
        return self.record.actors if self.record else None

    @property
    def cost(self) -> Cost | None:
        if self.usd_per_node_hour is None:
            return None
        node_hours = sum(run.wall_s * len(run.nodes) for run in self.runs) / 3600
        return Cost(self.usd_per_node_hour, node_hours, self.audio_s / 3600)

    def utilisation(self, graph: GraphUse) -> tuple[float, float] | None:
        """Shares of its actors' time in inference and in waiting for a slot; None if it is unknown."""
        if not self.actors or not self.wall_s:
            return None
        actor_s = self.actors * graph.graphs * self.wall_s
        busy = min(1.0, graph.infer_s / actor_s)
        return busy, min(1.0 - busy, graph.queue_s / actor_s)


def gather(
    output: str,
    store: Store,
    price: float | None = None,
    also: Sequence[Callable[[pa.Table], None]] = (),
) -> Facts:
    """Reads what is known about `output`: finished, running, just begun, or a benchmark's.

    `price` is in dollars per node-hour; it replaces the one in `run.json`. Each of `also` is given the rows
    of `TRACKS_READ`, file by file. Raises `UsageError` for a folder that is no output.
    """
    record = run_record.read(output, store)
    if record is None and (found := benchmark.find(output, store)):
        if price is None and found.summary and found.summary.figures.price:
            price = found.summary.figures.price.usd_per_node_hour
        return replace(gather(found.run, store, price, also), output=output, benchmark=found)
    tally, damaged = Tally(), list[DamagedTable]()
    for tracks, timings in tables.read_pairs(output, TRACKS_READ, TIMINGS_READ, store, damaged.append):
        tally.add(tracks, timings)
        for take in also:
            take(tracks)
    runs = tally.runs()
    if record is None and not runs and not damaged:
        raise UsageError(
            f"{output} is no output: it has neither run.json nor tables; expected the --output of "
            "jobs.separate or jobs.benchmark"
        )
    if price is None and record is not None:
        price = record.usd_per_node_hour
    records = records_of(output, record, [run.run_id for run in runs], store)
    ends = {run_id: state_of(each, output, store) for run_id, each in records.items()}
    folder = OutputFolder.of(record, output, store)
    return Facts(
        output=output,
        made_at=datetime.now(UTC),
        record=record,
        usd_per_node_hour=price,
        runs=runs,
        stages=tally.stages,
        graphs=tally.graphs(),
        timeline=plan_bins(runs, tally.finished()),
        errors=tally.errors.groups(),
        slowest=tally.slowest(),
        median_chunk_s=tally.median_chunk_s(),
        state=state_of(record, output, store) if record else None,
        warnings=tally.warnings.groups(),
        nodes=tally.nodes(),
        ends={run_id: state for run_id, state in ends.items() if state},
        licences=licences_of(records.values() or ([record] if record else [])),
        damaged_tables=tuple(error.uri for error in damaged),
        samples=[locate_stems(sample, folder, record) for sample in tally.samples()],
    )


def locate_stems(sample: SampleTrack, folder: OutputFolder, record: RunRecord | None) -> SampleTrack:
    """`sample` with its stems where the output is now, and without those that are not below it."""
    mix = stems_of_mix(record.settings if record else None, sample.stems)
    named = {stem: folder.stem_key(sample.track_id, stem, uri) for stem, uri in sample.stems.items()}
    here = {stem: folder.stem_uri(key) for stem, key in named.items() if key}
    here = {stem: uri for stem, uri in here.items() if not folder.leads_out(uri)}
    return replace(sample, stems=here, elsewhere=tuple(stem for stem in named if stem not in here), mix=mix)
