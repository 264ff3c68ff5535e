"""What a stage is: its name, its resources and its work. `dataset` runs it on Ray, tests in one process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from jobs.pipeline.job import Job
from jobs.pipeline.progress import Live
from jobs.pipeline.records import FinishedSection, FinishedTrack
from jobs.pipeline.stages.worker import Worker


class InferenceObserver(Protocol):
    """Told of every inference of one graph in one process."""

    def inferred(self, lengths: list[int], infer_s: float, queue_s: float) -> None:
        """A batch of chunks, each with the length of its track in samples."""

    def failed(self) -> None:
        """An inference raised."""


class Unobserved:
    """Inferences that nobody counts."""

    def inferred(self, lengths: list[int], infer_s: float, queue_s: float) -> None:
        pass

    def failed(self) -> None:
        pass


Observe = Callable[[str], InferenceObserver]  # from the device that a graph's session reports
Step = Callable[[pa.Table], pa.Table]
TaskWork = Callable[[pa.Table, Job, Worker], pa.Table]
Tell = Callable[[pa.Table, Job], Live]
Load = Callable[[str, Job, Worker, Observe], Step]  # a graph by its name, ready for tables of chunks
FinishWork = Callable[[Sequence[FinishedSection], Job, Worker], FinishedTrack]


def unobserved(device: str) -> InferenceObserver:
    return Unobserved()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`name` is unique among a pipeline's stages: Ray's operators, processes and the benchmark go by it."""

    name: str
    verb: str  # in "the process died: at each try to <verb> it"; empty: deaths in it are not counted
    cpus: float

    @property
    def process_title(self) -> str:
        """A part of the title of every process that runs this stage, and of no other: see `dataset`."""
        return f"MapBatches({self.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStage(Stage):
    """Runs as stateless tasks, one per block."""

    work: TaskWork
    tells: Tell | None = None  # what a finished block adds to what is known of the run
    most: int | None = None  # tasks at once on the cluster; None: as many as its CPUs hold


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStage(Stage):
    """Runs on a pool of actors, each of which loads the graph once."""

    graph: str
    load: Load
    gpus: float  # 0 on CPUs
    rows_per_call: int  # on a GPU; a CPU gets whole blocks
    actors: int
    max_actors: int
    calls: int = 1  # at once in an actor


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishStage(Stage):
    """Joins the sections of a long track: one task per track, started by the driver."""

    work: FinishWork

    @property
    def process_title(self) -> str:
        return f"ray::{self.name}"


@dataclass(frozen=True, slots=True)
class Stages:
    """A pipeline's stages in the order of the data flow."""

    probe: TaskStage
    split: TaskStage
    cut: TaskStage
    infer: tuple[PoolStage, ...]
    stitch: TaskStage
    finish: FinishStage

    @property
    def process_titles(self) -> dict[str, str]:
        """Process title -> name of the stage. A fused process, `probe->split`, is the first one's."""
        stages: tuple[Stage, ...] = (
            self.probe,
            self.split,
            self.cut,
            *self.infer,
            self.stitch,
            self.finish,
        )
        return {stage.process_title: stage.name for stage in stages}


def infer_name(graph: str) -> str:
    """The name of a graph's stage; a graph may be called as another stage is, `probe` or `finish`."""
    return f"infer_{graph}"
