"""What every stage of a job needs to know; small, since it travels with each task."""

from dataclasses import dataclass

from jobs.pipeline.sizing import JobPlan
from separation.audio.limits import DEFAULTS, Limits
from separation.console import counted
from separation.grid import Section, plan_sections
from separation.models.bag import Bag
from separation.options import Options
from separation.selection import Selecting
from separation.store.objects import Store
from separation.store.redact import shown


@dataclass(frozen=True, slots=True)
class Job(Selecting):
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
        """The provider that the graphs run on."""
        return self.plan.provider

    def describe(self) -> list[str]:
        """Lines about the models, as the plan is: their licences are shown and forbid nothing here."""
        licences: dict[str, list[str]] = {}
        for graph in self.graphs:
            licence = self.bag.graphs[graph].licence
            said = ", ".join(part for part in (licence.weights, licence.terms, licence.said_at) if part)
            licences.setdefault(said, []).append(graph)
        name = self.bag.name or "without a name"
        lines = [f"models: {name}, {', '.join(self.stems)} by {counted(len(self.graphs), 'graph')}"]
        for said, graphs in licences.items():
            of = f" of {', '.join(graphs)}" if len(licences) > 1 else ""
            lines.append(f"licence of the weights{of}: {said}")
        return [shown(line) for line in (*lines, *self.plan.describe())]

    def sections(self, length: int) -> list[Section]:
        """The sections of a track of `length` samples: every stage computes the same ones from it."""
        return plan_sections(length, self.grid_rules, self.plan.section_chunks)

    def stems_in(self, section: Section) -> tuple[str, ...]:
        """The inferred stems whose contract has the section's grid."""
        return tuple(stem for stem in self.stems if self.bag.contract_name(stem) == section.contract)
