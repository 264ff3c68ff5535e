"""What travels through the pipeline and back to the driver, as typed values.

    ListedTrack      a row of the catalogue
    Track            + what the probe found
    TrackSection     + which of the track's sections                one row per section
    TrackChunk       + which of the section's chunks                one row per chunk; its audio is beside it
    FinishedSection  TrackSection + what each graph did to it       one row per section
    FinishedTrack    all sections of a track as one                 a row of the output's tables

`arrow` converts them to and from tables; the fields of a nested record become columns of the same table. A
track in error is a record with a `failure`: it goes through every stage and none works on it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from separation.errors import SourceUnreachable, TrackError
from separation.level import Level
from separation.store.redact import shown

T = TypeVar("T")


UNREACHABLE = "unreachable"  # in place of an ErrorKind, which stands in tables: such a track has no row


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a track could not be done; `error` is one sentence without credentials."""

    error_kind: str  # of `errors.ErrorKind`, or UNREACHABLE
    error: str

    @classmethod
    def of(cls, error: TrackError | SourceUnreachable) -> "Failure":
        kind = str(error.kind) if isinstance(error, TrackError) else UNREACHABLE
        return cls(kind, shown(error.reason))

    @property
    def is_pending(self) -> bool:
        """Whether the track itself may be good: the next run tries it again."""
        return self.error_kind == UNREACHABLE


@dataclass(frozen=True, slots=True)
class ListedTrack:
    """A track of the catalogue; `failure` says why it cannot be done under its id."""

    track_id: str
    uri: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The track's object at the store."""

    source_bytes: int | None
    source_etag: str


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the file itself has, before resampling and downmixing."""

    sample_rate_hz: int
    channels: int


@dataclass(frozen=True, slots=True)
class Track:
    """A track and what its probe found; what comes after the point of failure is None."""

    track_id: str
    uri: str
    failure: Failure | None
    warnings: tuple[str, ...]
    source: Source | None
    encoded: Encoded | None
    measured: Level | None  # of the whole mix, at the models' sample rate
    probe_s: float | None
    started_at: datetime

    @property
    def status(self) -> str:
        return "error" if self.failure else "ok"

    @property
    def etag(self) -> str:
        """What the source is read by after the probe; only of a track without failure."""
        return known(self.source).source_etag

    @property
    def is_silent(self) -> bool:
        """Whether it is digital silence, so that no graph needs to see it."""
        return self.measured is not None and self.measured.is_silent

    @property
    def length(self) -> int:
        """Samples at the models' sample rate; only of a track that was decoded."""
        return self.level.length

    @property
    def level(self) -> Level:
        """Only of a track that was decoded."""
        return known(self.measured)


@dataclass(frozen=True, slots=True)
class TrackSection:
    """`index` of `sections` sections of a track; it has `chunks` chunks, none if the track is in error.

    `contract` is the name of its grid's, empty for a section without chunks. The chunks themselves follow
    from the track's length: `Job.sections`.
    """

    track: Track
    index: int
    sections: int
    chunks: int
    contract: str = ""

    def failed(self, error: TrackError | SourceUnreachable) -> "TrackSection":
        return replace(self, track=replace(self.track, failure=Failure.of(error)))


@dataclass(frozen=True, slots=True)
class TrackChunk:
    """`chunk` is the index of a chunk in its section; `decode_s` its share of the section's decoding."""

    section: TrackSection
    decode_s: float
    chunk: int
    skipped: bool = False  # by the graphs: its stems are silent, as its segment of the mix


@dataclass(frozen=True, slots=True)
class InferenceRun:
    """What one graph did to one chunk, or, summed, what one or several did to several."""

    infer_s: float  # the chunk's share of its batch
    queue_s: float  # its share of the batch's wait for a slot on the node
    batches: float  # its share of the batch: they sum to the number of batches
    model_sha256: str | None
    precision: str | None
    provider: str | None
    device: str | None
    node: str | None
    device_s: float = 0.0  # core-seconds on a CPU; on a GPU, infer_s times the share of it that the actor has


@dataclass(frozen=True, slots=True)
class StemResult:
    """One stem of a section or a track: its file, once that is written, and the inference it took.

    `chunks` counts the inferences of its graphs, whose names `graph` joins with +. A rest of the mix has no
    inference of its own.
    """

    stem: str
    graph: str | None = None
    uri: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    peak: float | None = None
    chunks: int | None = None
    run: InferenceRun | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What the stages after the probe did, and the seconds that they took; None where they did nothing."""

    decode_s: float | None = None
    stitch_s: float | None = None
    write_s: float | None = None
    upload_s: float | None = None  # of write_s, what the store took
    clip_factor: float | None = None
    silent_chunks: int | None = None  # that no graph saw
    stems: tuple[StemResult, ...] = ()


@dataclass(frozen=True, slots=True)
class FinishedSection:
    """A section that went through the pipeline; the only section of a track has its stems written."""

    section: TrackSection
    work: Work

    @property
    def track(self) -> Track:
        return self.section.track

    @property
    def inferred_chunks(self) -> int:
        return max(0, self.section.chunks - (self.work.silent_chunks or 0))


@dataclass(frozen=True, slots=True)
class FinishedTrack:
    """A track as the tables hold it: `chunks` and seconds are sums over its sections."""

    track: Track
    sections: int
    chunks: int
    work: Work
    finished_at: datetime | None = None


def known(value: T | None) -> T:
    """What a stage may rely on, since a track that lacks it has a failure."""
    if value is None:
        raise ValueError("a track in error has come to a stage that works")
    return value


def merge(sections: Sequence[FinishedSection]) -> FinishedTrack:
    """A track from all of its sections: seconds and counts summed; the first failure is the track's."""
    ordered = sorted(sections, key=lambda finished: finished.section.index)
    first = next((each for each in ordered if each.track.failure), ordered[0])
    if first.track.failure or len(ordered) == 1:
        return FinishedTrack(first.track, first.section.sections, first.inferred_chunks, first.work)
    by_stem: dict[str, list[StemResult]] = {}  # sections of different contracts have different stems
    for each in ordered:
        for result in each.work.stems:
            by_stem.setdefault(result.stem, []).append(result)
    work = Work(
        decode_s=sum(each.work.decode_s or 0.0 for each in ordered),
        stitch_s=sum(each.work.stitch_s or 0.0 for each in ordered),
        write_s=sum(each.work.write_s or 0.0 for each in ordered),
        upload_s=sum(each.work.upload_s or 0.0 for each in ordered),
        silent_chunks=sum(each.work.silent_chunks or 0 for each in ordered),
        stems=tuple(map(_sum_of_stem, by_stem.values())),
    )
    chunks = sum(each.inferred_chunks for each in ordered)
    return FinishedTrack(first.track, first.section.sections, chunks, work)


def _sum_of_stem(results: Sequence[StemResult]) -> StemResult:
    chunks = sum(known(result.chunks) for result in results)
    return StemResult(
        results[0].stem, results[0].graph, chunks=chunks, run=sum_runs(result.run for result in results)
    )


def sum_runs(runs: Iterable[InferenceRun | None]) -> InferenceRun | None:
    """Runs of the same graphs as one, or None; model, provider, device and node are the first one's."""
    there = [run for run in runs if run is not None]
    if not there:
        return None
    first, *others = there
    for run in others:
        first = replace(
            first,
            infer_s=first.infer_s + run.infer_s,
            queue_s=first.queue_s + run.queue_s,
            batches=first.batches + run.batches,
            device_s=first.device_s + run.device_s,
        )
    return first


def share_of(run: InferenceRun, share: float) -> InferenceRun:
    """A run whose seconds several stems share; each of them was in all of its batches."""
    return replace(
        run, infer_s=run.infer_s * share, queue_s=run.queue_s * share, device_s=run.device_s * share
    )


def join_runs(runs: Sequence[InferenceRun]) -> InferenceRun | None:
    """What the graphs of one stem took together; their models and precisions are joined with +."""
    total = sum_runs(runs)
    if total is None or len(runs) == 1:
        return total
    return replace(
        total,
        model_sha256="+".join(run.model_sha256 or "" for run in runs),
        precision="+".join(dict.fromkeys(run.precision or "" for run in runs)),
    )
