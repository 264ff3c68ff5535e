"""What every stage of a job needs to know; small, since it travels with each task."""

from dataclasses import dataclass

from jobs.pipeline.sizing import JobPlan
from separation.audio.limits import DEFAULTS, Limits
from separation.grid import Section, plan_sections
from separation.models.bag import Bag
from separation.options import Options
from separation.store.objects import Store


@dataclass(frozen=True, slots=True)
class Job:
    """One run over a catalogue, into one output."""

    run_id: str
    output: str
    bag: Bag
    options: Options
    plan: JobPlan
    cache: str  # folder on each node, for models, sources and slots
    cache_bytes: int  # of sources
    verify_writes: float  # share of the stems' files that are read back
    store: Store
    limits: Limits = DEFAULTS

    @property
    def engine(self) -> str:
        """The provider that the specialists run on."""
        return self.plan.provider

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that specialists infer, in the order in which a section goes through their pools."""
        return self.options.specialists(self.bag.stems)

    def sections(self, length: int) -> list[Section]:
        """The sections of a track of `length` samples: every stage computes the same ones from it."""
        return plan_sections(
            length, self.plan.chunks_per_section, self.options.overlap, self.options.grid_shifts
        )
