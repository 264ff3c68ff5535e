"""What a report lists: runs, graphs, errors, the slowest tracks, and tracks to listen to."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Run:
    """What came before the first probe (Ray, loading models) is not in the tables, and not in here."""

    run_id: str
    started_at: datetime  # of its first track's probe
    ended_at: datetime  # of its last track so far
    done: int = 0
    failed: int = 0
    audio_s: float = 0.0  # of the tracks done
    nodes: set[str] = field(default_factory=set)  # those that inferred

    @property
    def wall_s(self) -> float:
        return (self.ended_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class NodeUse:
    """What a node did in a run. A last track long before the run's end tells that it was lost or let go."""

    node: str
    run_id: str
    tracks: int  # of which it inferred a stem at least
    last_at: datetime  # when the last of them was finished
    silent_s: float  # from then to the last track of the run


@dataclass
class GraphUse:
    """What the sessions of a graph did on one kind of device.

    Where a stem is the mean of several graphs, the tables hold what these took together: then `graph` is
    their names, joined with +.
    """

    graph: str
    provider: str
    device: str
    stems: tuple[str, ...] = ()
    tracks: int = 0
    chunks: int = 0
    infer_s: float = 0.0
    queue_s: float = 0.0  # waiting for one of the node's slots
    audio_s: float = 0.0

    @property
    def graphs(self) -> int:
        return self.graph.count("+") + 1

    @property
    def x_realtime(self) -> float | None:
        return self.audio_s / self.infer_s if self.infer_s else None


@dataclass
class Example:
    """The first track with this error sentence, and the number of tracks that have it."""

    sentence: str
    track_id: str
    count: int = 0


@dataclass
class KindGroup:
    """The tracks in error, or with a warning, of one kind."""

    kind: str
    count: int
    examples: list[Example]  # one for each of the first few sentences

    @property
    def unlisted(self) -> int:
        return self.count - sum(example.count for example in self.examples)


@dataclass(frozen=True, slots=True)
class SlowTrack:
    track_id: str
    duration_s: float
    chunks: int
    work_s: float  # of all stages and graphs, without waiting
    longest_step: str  # the stage or graph that took most of it
    longest_step_s: float

    @property
    def chunk_s(self) -> float:
        return self.work_s / self.chunks


@dataclass(frozen=True, slots=True)
class SampleTrack:
    """A track to look at and listen to."""

    track_id: str
    duration_s: float
    clip_factor: float  # the gain that its stems were given against clipping
    stems: dict[str, str]  # stem -> URI of its file, in the order of `stem_order`
    elsewhere: tuple[str, ...] = ()  # stems that the tables name outside the output: they are not read
    mix: tuple[str, ...] = ()  # the stems whose sum is the mix; none if that is not known
