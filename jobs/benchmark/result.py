"""From timed runs to the figures of a benchmark, and to `benchmarks/<benchmark_id>.parquet` and `.json`."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import ray

from jobs.benchmark import sweep
from jobs.benchmark.accounting import SCHEMA, accounted, own_core_s, row_name
from jobs.benchmark.trial import Trial
from jobs.pipeline.cost.prices import Price
from jobs.pipeline.cost.summary import (
    FOLDER,
    AccountRow,
    BagGraph,
    Cluster,
    Figures,
    Machine,
    Spread,
    Summary,
    Sweep,
    as_json,
)
from jobs.pipeline.job import Job
from jobs.pipeline.sizing import JobPlan, Node
from separation.store.filesystems import join
from separation.store.objects import Store


@dataclass(frozen=True, slots=True)
class StageOfRepeat:
    """A row of the benchmark's table."""

    setting: str
    repeat: int
    stage: AccountRow


def cluster_of(nodes: Sequence[Node], seen: Trial) -> Cluster:
    return Cluster(
        nodes=len(nodes),
        cpus=sum(node.cpus for node in nodes),
        gpus=sum(node.gpus for node in nodes),
        store_bytes=sum(node.store_bytes for node in nodes),
        machines=[Machine(usage.machine, usage.cores) for usage in seen.usages],
        devices=list(seen.devices),
        ray=ray.__version__,
    )


def figures(trials: Sequence[Trial], nodes: Sequence[Node], plan: JobPlan, price: Price | None) -> Figures:
    """The results of the repeats of one setting on `nodes`, those that do work."""
    gpus = sum(node.gpus for node in nodes) if plan.gpus_per_actor else 0
    x_realtime = spread([trial.x_realtime for trial in trials])
    middle = sorted(trials, key=lambda trial: trial.x_realtime)[len(trials) // 2]
    devices = gpus or sum(node.cpus for node in nodes)
    capacity = sum(usage.cores * usage.wall_s for usage in middle.usages)
    gpu_busy = [usage.gpu_busy for usage in middle.usages if usage.gpu_busy is not None]
    mean_track_s = middle.audio_s / middle.tracks
    usd = None if price is None else price.usd_per_node_hour * len(nodes) / x_realtime.median
    return Figures(
        repeats=len(trials),
        tracks=middle.tracks,
        failed=middle.failed,
        audio_s=middle.audio_s,
        mean_track_s=mean_track_s,
        wall_s=spread([trial.wall_s for trial in trials]),
        work_s=spread([trial.work_s for trial in trials]),
        x_realtime=x_realtime,
        x_realtime_per_node=x_realtime.median / len(nodes),
        x_realtime_per_device=x_realtime.median / devices,
        device="GPU" if gpus else "core",
        device_utilisation=middle.device_s / (devices * middle.work_s),
        gpu_busy=statistics.fmean(gpu_busy) if gpu_busy else None,
        cpu_utilisation=sum(usage.busy_s for usage in middle.usages) / capacity,
        core_s_per_audio_s=own_core_s(middle.stages) / middle.audio_s,
        accounted=accounted(middle.stages),
        stages=middle.stages,
        peak_bytes=max(usage.peak_bytes for usage in middle.usages),
        peak_bytes_above_start=max(usage.peak_bytes - usage.start_bytes for usage in middle.usages),
        source_bytes=middle.source_bytes,
        stem_bytes=middle.stem_bytes,
        net_sent_bytes=sum(usage.net_sent_bytes for usage in middle.usages),
        net_received_bytes=sum(usage.net_received_bytes for usage in middle.usages),
        price=price,
        usd_per_audio_hour=usd,
        usd_per_1000_tracks=None if usd is None else usd * mean_track_s / 3600 * 1000,
    )


def graphs_of(job: Job, figures: Figures) -> dict[str, BagGraph]:
    """All graphs of the job's bag, with the seconds of those that ran."""
    task_s = {row.stage: row.task_s for row in figures.stages if row.account == "core"}
    return {
        name: BagGraph(file.sha256, task_s[row_name(name)] if name in job.graphs else None)
        for name, file in job.bag.graphs.items()
    }


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def sweep_result(figures: Mapping[str, Figures]) -> Sweep:
    """The speed of each setting, by its name, and the setting to recommend."""
    speeds = {setting: each.x_realtime for setting, each in figures.items()}
    return Sweep(speeds, sweep.recommend({setting: speed.median for setting, speed in speeds.items()}))


def stages_of(setting: str, first: int, trials: Sequence[Trial]) -> list[StageOfRepeat]:
    """All stages of all repeats of a setting; the first of `trials` is repeat number `first`."""
    return [
        StageOfRepeat(setting, first + number, stage)
        for number, trial in enumerate(trials)
        for stage in trial.stages
    ]


def write(output: str, summary: Summary, stages: Sequence[StageOfRepeat], store: Store) -> str:
    """The table, then the summary, which makes the benchmark count; returns the summary's URI."""
    name = join(output, f"{FOLDER}/{summary.benchmark_id}")
    rows = [
        {
            "benchmark_id": summary.benchmark_id,
            "setting": each.setting,
            "repeat": each.repeat,
            **asdict(each.stage),
        }
        for each in stages
    ]
    data = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), data)
    store.put_bytes(data.getvalue().to_pybytes(), f"{name}.parquet")
    store.put_bytes(json.dumps(as_json(summary), indent=2).encode(), f"{name}.json")
    return f"{name}.json"
