"""run.json, one per output: what ran last. Written by a run, read by the next one and by other programs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any, Self

import msgspec

from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from jobs.pipeline.sizing import Node
from separation import __version__
from separation.errors import StorageError, UsageError
from separation.options import Options
from separation.store.filesystems import join
from separation.store.objects import Store
from separation.store.redact import without_credentials

PACKAGES = ("ray", "numpy", "soundfile", "soxr", "pyarrow", "s3fs")


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the samples at the output: two runs into one output must agree on it.

    `options` stay as JSON has them. One that this version does not know makes a difference, too.
    """

    models: dict[str, str] = field(default_factory=dict)  # stem -> sha256 of its graph
    precision: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job | JobRequest) -> Self:
        models = {stem: job.bag.specialists[stem].sha256 for stem in job.stems}
        return cls(models, job.bag.precision, json.loads(json.dumps(asdict(job.options))))

    def parse_options(self) -> Options:
        """Raises `UsageError` for a value that this version does not know."""
        try:
            return msgspec.convert(self.options, Options)
        except msgspec.ValidationError as error:
            raise UsageError(f"run.json: settings.options: {error}") from error

    @property
    def outputs(self) -> set[str]:
        """The stems that every finished track has; empty if the record does not say."""
        if stem := self.options.get("two_stems"):
            return {stem, f"no_{stem}"}
        return set(self.models)


@dataclass(frozen=True, slots=True)
class CatalogueSize:
    tracks: int | None = None  # all of the catalogue, done or not


@dataclass(frozen=True, slots=True)
class NodePrice:
    usd_per_node_hour: float | None = None


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Field names are the keys of run.json. Any of them may be missing: older versions wrote fewer."""

    run_id: str = ""
    versions: dict[str, str] = {}  # package -> version
    settings: Settings = Settings()
    arguments: dict[str, Any] = {}  # of the command line, without credentials
    catalogue: CatalogueSize = CatalogueSize()
    shifts_samples: tuple[int, ...] = ()
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
    def actors(self) -> int | None:
        """Per specialist, at most, over the whole cluster."""
        most = self.plan.get("max_actors") or self.plan.get("actors")
        return int(most) if most else None

    @property
    def usd_per_node_hour(self) -> float | None:
        return self.price.usd_per_node_hour if isinstance(self.price, NodePrice) else self.price


def read(output: str, store: Store) -> RunRecord | None:
    """None where no run has begun. Raises `StorageError`, which names the key, for anything else."""
    uri = join(output, "run.json")
    try:
        # The json module, as it reads the `NaN` that it may write.
        return msgspec.convert(json.loads(store.read_bytes(uri)), RunRecord)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StorageError(uri, f"expected the JSON that a run writes: {error}") from error


def write(
    job: Job,
    arguments: Mapping[str, Any],
    nodes: Sequence[Node],
    tracks: int | None = None,
    totals: Mapping[str, float] | None = None,
) -> None:
    """`tracks` is the size of the catalogue; `totals` is None until the run has ended.

    A run writes its record before the first track, too: that shows whether the output can be written.
    """
    redacted = {
        name: without_credentials(value) if isinstance(value, str) else value
        for name, value in {**arguments, "output": job.output}.items()
    }
    record = RunRecord(
        run_id=job.run_id,
        versions={"stemfleet": __version__, **{package: version(package) for package in PACKAGES}},
        settings=Settings.of(job),
        arguments=redacted,
        catalogue=CatalogueSize(tracks),
        shifts_samples=job.options.grid_shifts,
        plan=asdict(job.plan),
        cluster=[asdict(node) for node in nodes],
        price=NodePrice(arguments.get("price")),
        totals=None if totals is None else dict(totals),
    )
    data = json.dumps(msgspec.to_builtins(record), indent=2)
    job.store.put_bytes(data.encode(), join(job.output, "run.json"))


def refuse_mixture(job: Job | JobRequest) -> None:
    """Raises `UsageError` if the output holds stems of other models or settings."""
    if (record := read(job.output, job.store)) is None:
        return
    then, now = asdict(record.settings), asdict(Settings.of(job))
    if differing := [name for name in now if now[name] != then[name]]:
        raise UsageError(
            f"{job.output} holds stems of other {' and '.join(differing)}: "
            + "; ".join(f"{name} were {then[name]}, are {now[name]}" for name in differing)
            + ". Choose another --output, or --force to do its tracks again"
        )
