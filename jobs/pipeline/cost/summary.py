"""A benchmark's stored summary, `benchmarks/<benchmark_id>.json`, as types.

`jobs.benchmark` writes it; estimates, projections and `jobs.report` read it. Field names are the keys of the
JSON and stay as they are: stored summaries are compared with new ones. Fields that came later have
a default; keys that this version does not know are ignored.
"""

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from jobs.pipeline.cost.prices import Price
from separation.errors import UsageError
from separation.store.filesystems import join
from separation.store.objects import Store

FOLDER = "benchmarks"


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the repeats of one setting."""

    median: float
    min: float
    max: float

    def __str__(self) -> str:
        if self.min == self.max:
            return f"{self.median:.3f}"
        return f"{self.median:.3f} ({self.min:.3f} to {self.max:.3f})"


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A line of an account of where the time went; see `jobs/benchmark/accounting.py`."""

    account: str  # phase | core | wait
    stage: str
    task_s: float | None  # of a phase: the driver's seconds
    core_s: float | None
    share: float | None  # of the account's total


@dataclass(frozen=True, slots=True)
class Opening:
    """What it takes to open one graph, before the first track."""

    fetch_s: float  # download and hash check; the hash check alone on a node that has the model
    load_s: float  # on a GPU with a run on silence, which warms the session up
    first_s: float  # the first inference, which warms it up on a CPU
    chunk_s: float  # the second: one chunk, alone on the node's cores or GPU
    device: str
    graph: str


@dataclass(frozen=True, slots=True)
class BagGraph:
    """A graph of the model folder; `infer_s` is what its inferences took in a run, None if it did not run."""

    sha256: str
    infer_s: float | None


@dataclass(frozen=True, slots=True)
class Machine:
    name: str
    cores: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """`cpus`, `gpus` and `store_bytes` are sums over the nodes, as Ray reports them."""

    nodes: int
    cpus: float
    gpus: float
    store_bytes: float
    machines: list[Machine]
    devices: list[str]
    ray: str  # version


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The results of one setting. What is not a spread comes from the repeat with the median speed."""

    repeats: int
    tracks: int
    failed: int
    audio_s: float
    mean_track_s: float
    wall_s: Spread
    work_s: Spread
    x_realtime: Spread  # also the audio-hours done per hour
    x_realtime_per_node: float
    x_realtime_per_device: float
    device: str  # GPU | core
    device_utilisation: float
    gpu_busy: float | None
    cpu_utilisation: float
    core_s_per_audio_s: float | None = None
    accounted: float
    stages: list[AccountRow]
    peak_bytes: int
    peak_bytes_above_start: int
    source_bytes: int
    stem_bytes: int
    net_sent_bytes: int
    net_received_bytes: int
    price: Price | None
    usd_per_audio_hour: float | None
    usd_per_1000_tracks: float | None


# The comparisons are told apart by the key `with`, which cannot be a field's name in Python.
class DemucsComparison(msgspec.Struct, frozen=True, tag_field="with", tag="demucs"):
    """demucs over the same tracks on the same cores; `ratio` is the job's speed over demucs's."""

    x_realtime: Spread
    load_s: Spread
    ratio: Spread
    snr_db: dict[str, float]  # per stem; infinite where both gave the same samples


class AllStemsComparison(msgspec.Struct, frozen=True, tag_field="with", tag="all"):
    """The stems that were asked for against all stems, as a ratio of work seconds and of core-seconds."""

    ratio: Spread
    core_ratio: Spread


Comparison = DemucsComparison | AllStemsComparison


@dataclass(frozen=True, slots=True)
class ModelsComparison:
    """Another model folder over the same tracks. The ratios are the summary's own models over the other's.

    `x_realtime` and `core_s_per_audio_s` are of the other; its stems are those that were asked for.
    """

    models: str  # the other folder
    name: str  # of its bag
    stems: list[str]
    graphs: list[str]  # that ran
    ratio: Spread  # of work seconds
    core_ratio: Spread  # of core-seconds
    x_realtime: Spread
    core_s_per_audio_s: Spread


@dataclass(frozen=True, slots=True)
class Sweep:
    """By setting, as options of a command line; "" is the plan as derived."""

    x_realtime: dict[str, Spread]
    recommended: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    benchmark_id: str  # begins with the date and time
    created_at: str
    input: str
    models: str
    models_name: str = ""  # as bag.json has it
    graphs: dict[str, BagGraph] = msgspec.field(default_factory=dict)  # all of the folder, by name
    stems: list[str]  # that were asked for
    cluster: Cluster
    plan: dict[
        str, int | float | str
    ]  # `sizing.JobPlan` as it was then: its fields change from version to version
    connect_s: float
    preflight_s: float
    warm_up_s: float
    openings: list[Opening] = msgspec.field(default_factory=list)
    last_run: str = ""  # folder below the output: the run whose stems are kept
    figures: Figures
    compare: Comparison | msgspec.UnsetType = msgspec.UNSET
    compare_models: ModelsComparison | msgspec.UnsetType = msgspec.UNSET
    sweep: Sweep | msgspec.UnsetType = msgspec.UNSET


def as_json(summary: Summary) -> dict[str, Any]:
    """For `json.dumps`."""
    found: dict[str, Any] = msgspec.to_builtins(summary)
    return found


def parse(data: bytes) -> Summary:
    """Raises `ValueError`, which names the key, where `data` is no summary."""
    # The json module, as it reads the `Infinity` that it writes for two stems with the same samples.
    content = json.loads(data)
    if isinstance(content, dict) and isinstance(compare := content.get("compare"), dict):
        compare.setdefault("with", "demucs")  # the only comparison when the key did not exist
    if isinstance(content, dict) and isinstance(openings := content.get("openings"), list):
        for opening in (each for each in openings if isinstance(each, dict) and "stem" in each):
            opening.setdefault("graph", opening["stem"])  # each stem had one when the key did not exist
    return msgspec.convert(content, Summary)


def find_last(uri: str, store: Store) -> Summary | None:
    """The summary at `uri`, a `.json` file, or the last one below the folder `uri`."""
    if uri.endswith(".json"):
        return _read(uri, store)
    found = [file.uri for file in store.list_files(join(uri, FOLDER)) if file.uri.endswith(".json")]
    return _read(max(found), store) if found else None  # names begin with the date


def _read(uri: str, store: Store) -> Summary:
    try:
        return parse(store.read_bytes(uri))
    except FileNotFoundError:
        raise UsageError(f"{uri}: not found; python -m jobs.benchmark writes it") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{uri}: not a benchmark's summary: {error}") from None
