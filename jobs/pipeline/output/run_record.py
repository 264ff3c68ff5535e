"""run.json, one per output: what ran last. Written by a run, read by the next one and by other programs.

`runs/<run_id>.json` beside it is the same of every run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from typing import Any

import msgspec

from jobs.pipeline.job import Job
from jobs.pipeline.sizing import Node
from separation import __version__
from separation.arguments import absolute
from separation.errors import StorageError
from separation.models.bag import Licence
from separation.models.bag_json import DEMO
from separation.settings import Settings
from separation.store.filesystems import join
from separation.store.objects import Store
from separation.store.redact import without_credentials

ADDRESSES = ("input", "models", "output", "benchmark")  # arguments that are kept absolute
PACKAGES = ("ray", "numpy", "soundfile", "soxr", "pyarrow", "s3fs")


class State(StrEnum):
    """How far a run is: what it wrote last, and `KILLED` for one that could not write its end."""

    RUNNING = "running"
    DONE = "done"  # it came to its end; tracks may be errors
    INTERRUPTED = "interrupted"  # by Ctrl-C or SIGTERM
    STOPPED = "stopped"  # by an error, which is its `reason`
    KILLED = "killed"  # never written: `running`, but it does not hold the output any more


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands. Moments are ISO 8601 in UTC."""

    state: State
    began: str
    ended: str | None = None
    exit_code: int | None = None
    reason: str | None = None  # why it stopped
    totals: Mapping[str, float] | None = None  # `Counts.totals`, once it has ended


@dataclass(frozen=True, slots=True)
class CatalogueSize:
    tracks: int | None = None  # all of the catalogue, done or not


@dataclass(frozen=True, slots=True)
class NodePrice:
    usd_per_node_hour: float | None = None


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Field names are the keys of run.json. Any of them may be missing: older versions wrote fewer."""

    run_id: str = ""
    state: str | None = None  # a `State`, of which a later version may have more
    began: str | None = None
    ended: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    versions: dict[str, str] = {}  # package -> version
    settings: Settings = Settings()
    arguments: dict[str, Any] = {}  # of the command line, without credentials
    catalogue: CatalogueSize = CatalogueSize()
    licences: dict[str, Licence] = {}  # of the graphs that ran
    # Of each grid, by contract; a list of older versions, which had one contract.
    shifts_samples: dict[str, tuple[int, ...]] | tuple[int, ...] = ()
    # The fields of `JobPlan`, `Node` and `Counts` change from version to version.
    plan: dict[str, int | float | str] = {}
    cluster: list[dict[str, int | float]] = []  # one entry per node
    price: NodePrice | float | None = None
    totals: dict[str, int | float] | None = None  # what this run did, once it has ended

    @property
    def input(self) -> str | None:
        return self.arguments.get("input")

    @property
    def output(self) -> str | None:
        """The folder that the run wrote to, from which the output may have been moved or copied since."""
        return self.arguments.get("output")

    @property
    def made_with(self) -> Settings:
        """The settings of all stems at the output; older records have the engine in the plan alone."""
        engine = self.settings.engine or self.plan.get("provider")
        return replace(self.settings, engine=None if engine is None else str(engine))

    @property
    def actors(self) -> int | None:
        """Per graph, at most, over the whole cluster."""
        most = self.plan.get("max_actors") or self.plan.get("actors")
        return int(most) if most else None

    @property
    def usd_per_node_hour(self) -> float | None:
        return self.price.usd_per_node_hour if isinstance(self.price, NodePrice) else self.price


# The meaning of every key, for the table of docs/output.md: keys that share one, and the sentence.
MEANINGS = (
    ("run_id", "of the run; its rows in the tables and its record in `runs/` have the same"),
    ("state exit_code reason", "how it ended; `reason` is why it stopped"),
    ("began ended", "moments, ISO 8601 in UTC; `ended` is null while it runs, and for ever if it was killed"),
    ("versions", "of stemfleet and of the packages that decide results"),
    (
        "settings",
        "what all stems of the output agree on: each stem's models, precision, engine, options and contracts",
    ),
    ("arguments", "the command line, without credentials; addresses are absolute"),
    ("catalogue", "`tracks`: how many the catalogue has, done or not"),
    ("licences", "of the weights of each graph, as `bag.json` states them"),
    ("shifts_samples", "the drawn shifts of each contract, in samples; 0 for none"),
    ("plan", "actors, CPUs, GPUs, threads, turns, batch and sections, as planned or given"),
    (
        "cluster",
        "CPUs, GPUs and bytes of object store of each node, as the run last saw it",
    ),
    ("price", "`usd_per_node_hour`, if `--price` gave one"),
    (
        "totals",
        "of this run, once it has ended: tracks in all, done, failed, pending and left, seconds of audio",
    ),
)


def read(output: str, store: Store, run_id: str | None = None) -> RunRecord | None:
    """The record of a run, by default of the last one; None where there is none.

    Raises `StorageError`, which names the key, for anything else.
    """
    uri = join(output, f"runs/{run_id}.json" if run_id else "run.json")
    try:
        # The json module, as it reads the `NaN` that it may write.
        return msgspec.convert(json.loads(store.read_bytes(uri)), RunRecord)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise StorageError(uri, f"expected the JSON that a run writes: {error}") from error


def write(
    job: Job,
    arguments: Mapping[str, Any],
    nodes: Sequence[Node],
    tracks: int | None,
    standing: Standing,
    *,
    is_last: bool = True,
) -> None:
    """`tracks` is the size of the catalogue. `is_last` is False for a run that another one has followed."""
    record = RunRecord(
        run_id=job.run_id,
        state=standing.state,
        began=standing.began,
        ended=standing.ended,
        exit_code=standing.exit_code,
        reason=standing.reason,
        versions={"stemfleet": __version__, **{package: version(package) for package in PACKAGES}},
        settings=Settings.of(job),
        arguments={name: _kept(name, value) for name, value in {**arguments, "output": job.output}.items()},
        catalogue=CatalogueSize(tracks),
        licences={graph: job.bag.graphs[graph].licence for graph in job.graphs},
        shifts_samples={name: rule.shifts for name, rule in job.grid_rules.items()},
        plan=asdict(job.plan),
        cluster=[asdict(node) for node in nodes],
        price=NodePrice(arguments.get("price")),
        totals=None if standing.totals is None else dict(standing.totals),
    )
    data = json.dumps(msgspec.to_builtins(record), indent=2).encode()
    job.store.put_bytes(data, join(job.output, f"runs/{job.run_id}.json"))
    if is_last:
        job.store.put_bytes(data, join(job.output, "run.json"))


def _kept(name: str, value: Any) -> Any:
    """An argument without credentials, and an address as it means the same from every folder."""
    if not isinstance(value, str):
        return value
    if name in ADDRESSES and (name, value) != ("models", DEMO):
        value = absolute(value)
    return without_credentials(value)
