"""The figures of a benchmark, and where they are kept: `benchmarks/<id>.parquet` and `<id>.json`."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.benchmark.accounting import SCHEMA, accounted, own_core_s
from jobs.benchmark.trial import Trial
from jobs.pipeline.cost.prices import Price
from jobs.pipeline.sizing import Node, Plan
from separation.errors import UsageError
from separation.store.objects import join, list_files, put_bytes, read_bytes

FOLDER = "benchmarks"


def figures(
    trials: Sequence[Trial], nodes: Sequence[Node], plan: Plan, price: Price | None
) -> dict[str, Any]:
    """What a reader decides by, over the repeats of one setting: medians and spread.

    `nodes` are those that work. What belongs to one repeat is that of the middle one by speed.
    """
    gpus = sum(node.gpus for node in nodes)
    x_realtime = spread([trial.x_realtime for trial in trials])
    middle = sorted(trials, key=lambda trial: trial.x_realtime)[len(trials) // 2]
    devices = gpus or sum(node.cpus for node in nodes)
    held = middle.infer_s * (1 if gpus else plan.threads)  # device-seconds that inferences held
    capacity = sum(usage.cores * usage.wall_s for usage in middle.usages)
    gpu_busy = [usage.gpu_busy for usage in middle.usages if usage.gpu_busy is not None]
    mean_track_s = middle.audio_s / middle.tracks
    usd = price and price.usd_per_node_hour * len(nodes) / x_realtime["median"]
    return {
        "repeats": len(trials),
        "tracks": middle.tracks,
        "failed": middle.failed,
        "audio_s": middle.audio_s,
        "mean_track_s": mean_track_s,
        "wall_s": spread([trial.wall_s for trial in trials]),
        "work_s": spread([trial.work_s for trial in trials]),
        "x_realtime": x_realtime,  # audio-hours an hour: the same number
        "x_realtime_per_node": x_realtime["median"] / len(nodes),
        "x_realtime_per_device": x_realtime["median"] / devices,
        "device": "GPU" if gpus else "core",
        "device_utilisation": held / (devices * middle.work_s),
        "gpu_busy": statistics.fmean(gpu_busy) if gpu_busy else None,
        "cpu_utilisation": sum(usage.busy_s for usage in middle.usages) / capacity,
        "core_s_per_audio_s": own_core_s(middle.stages) / middle.audio_s,
        "accounted": accounted(middle.stages),
        "stages": [asdict(stage) for stage in middle.stages],
        "peak_bytes": max(usage.peak_bytes for usage in middle.usages),
        "peak_bytes_above_start": max(usage.peak_bytes - usage.start_bytes for usage in middle.usages),
        "source_bytes": middle.source_bytes,
        "stem_bytes": middle.stem_bytes,
        "net_sent_bytes": sum(usage.net_sent_bytes for usage in middle.usages),
        "net_received_bytes": sum(usage.net_received_bytes for usage in middle.usages),
        "price": price and asdict(price),
        "usd_per_audio_hour": usd,
        "usd_per_1000_tracks": usd and usd * mean_track_s / 3600 * 1000,
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def part_of_whole(part: Sequence[Trial], whole: Sequence[Trial]) -> dict[str, Any]:
    """What some stems cost of what all of them cost, pair by pair: the two ran one after the other.

    `core_ratio` changes less when other programs press the machine, but not nothing: their hyperthreads and
    caches lengthen core-seconds too.
    """
    pairs = list(zip(part, whole, strict=True))
    cores = [own_core_s(some.stages) / own_core_s(all_.stages) for some, all_ in pairs]
    return {
        "with": "all",
        "ratio": spread([some.work_s / all_.work_s for some, all_ in pairs]),
        "core_ratio": spread(cores),
    }


def rows(benchmark_id: str, setting: str, first: int, trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """`SCHEMA`, a row a repeat and stage; the first of `trials` has the number `first`."""
    return [
        {"benchmark_id": benchmark_id, "setting": setting, "repeat": first + number, **asdict(stage)}
        for number, trial in enumerate(trials)
        for stage in trial.stages
    ]


def write(output: str, summary: dict[str, Any], table: list[dict[str, Any]]) -> str:
    """The table, then the summary that makes the benchmark count; returns the summary's URI."""
    name = join(output, f"{FOLDER}/{summary['benchmark_id']}")
    data = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(table, SCHEMA), data)
    put_bytes(data.getvalue().to_pybytes(), f"{name}.parquet")
    put_bytes(json.dumps(summary, indent=2).encode(), f"{name}.json")
    return f"{name}.json"


def find_last(uri: str) -> dict[str, Any] | None:
    """The summary at `uri`, a `.json` file, or the last one below the folder `uri`."""
    if uri.endswith(".json"):
        return _read(uri)
    found = [file.uri for file in list_files(join(uri, FOLDER)) if file.uri.endswith(".json")]
    return _read(max(found)) if found else None  # names begin with the date


def _read(uri: str) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads(read_bytes(uri))
        summary["figures"]["x_realtime_per_node"]
    except FileNotFoundError:
        raise UsageError(f"{uri}: not found; python -m jobs.benchmark writes it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{uri}: not a benchmark's summary: {error!r}") from None
    return summary
