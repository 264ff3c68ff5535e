"""Where the time of a run went, in two accounts that each add up to the whole.

Stages overlap: while one track is decoded, four others are in the pools. Their seconds cannot be laid
end to end, so one list of "seconds per stage" would add up to anything. Instead:

phase   what the driver waited for, end to end; measured moments, so they sum to the run's wall time:
        start (pools up, models open), work (first probe to last commit), end
core    core-seconds: a machine of C cores has C x wall of them. What each stage's processes used is
        read from the kernel (see `watch`), and so are idle and stolen ticks. Nothing is a remainder,
        but for `unseen`: what the kernel calls busy and no process that we saw had used. The sum
        of the others over C x wall is `accounted`, which is 1 up to what escaped the readings.

Of its rows, load is actors that start and open their models, driver is the job's own process, ray all
of Ray's other processes, watch the readings themselves, outside every other program of the machine.

Beside its core-seconds, a stage has `task_s`: the seconds that its tasks took from begin to end as
they measured themselves, waiting for disks, stores and cores included, added up over all tasks. They
say how long a track takes through a stage, not what the stage costs. `stitch`, `encode` and `upload` run
in one task: its core-seconds are divided between them as their task seconds are.
"""

import pyarrow as pa
import pyarrow.compute as pc

from jobs.benchmark.process_usage import DRIVER, LOAD, OUTSIDE, RAY, WATCH, Usage
from jobs.pipeline.cost.summary import Stage

SCHEMA = pa.schema(
    [
        ("benchmark_id", pa.string()),
        ("setting", pa.string()),  # of a sweep; empty for the plan as it was derived
        ("repeat", pa.int32()),  # 0 is the warm-up
        ("account", pa.string()),  # phase | core | wait
        ("stage", pa.string()),
        ("task_s", pa.float64()),  # a phase: the driver's seconds
        ("core_s", pa.float64()),
        ("share", pa.float64()),  # of the account's whole
    ]
)

ENDING = ("stitch", "encode", "upload")
REST = ("idle", "stolen", "unseen")


def phases(seconds: dict[str, float]) -> list[Stage]:
    total = sum(seconds.values())
    return [Stage("phase", name, spent, None, spent / total) for name, spent in seconds.items()]


def cores(usages: list[Usage], tracks: pa.Table, timings: pa.Table, stems: tuple[str, ...]) -> list[Stage]:
    """The core account over all machines, in the order of the road."""
    capacity = sum(usage.cores * usage.wall_s for usage in usages)
    used: dict[str, float] = {}
    for usage in usages:
        for doing, core_s in usage.core_s.items():
            used[doing] = used.get(doing, 0.0) + core_s
    task_s = task_seconds(tracks, timings, stems)
    ending, ending_s = used.pop("stitch", 0.0), sum(task_s[name] for name in ENDING)
    used |= {name: ending * (task_s[name] / ending_s if ending_s else 1 / len(ENDING)) for name in ENDING}
    order = [LOAD, "probe", "decode", *stems, *ENDING, DRIVER, RAY, WATCH, OUTSIDE]
    stages = [_core(name, task_s.get(name), used.get(name, 0.0), capacity) for name in order]
    rest = (
        sum(usage.idle_s for usage in usages),
        sum(usage.stolen_s for usage in usages),
        sum(usage.busy_s for usage in usages) - sum(used.values()),
    )
    return stages + [_core(name, None, core_s, capacity) for name, core_s in zip(REST, rest, strict=True)]


def waits(timings: pa.Table, wall_s: float) -> list[Stage]:
    """What inferences waited for a turn on their node, in no core's time; `share` is their mean number."""
    queue_s = _sum(timings["queue_s"])
    return [Stage("wait", "turn", queue_s, None, queue_s / wall_s)]


def accounted(stages: list[Stage]) -> float:
    """The part of all core-seconds that the core account names; 1 is everything."""
    return sum(s.share or 0.0 for s in stages if s.account == "core" and s.stage != "unseen")


def own_core_s(stages: list[Stage]) -> float:
    """Core-seconds of the run's own work: what does not change when other programs press the machine.

    Starting and loading are left out as they happen once, and so are the readings.
    """
    others = {LOAD, WATCH, OUTSIDE, *REST}
    return sum(s.core_s or 0.0 for s in stages if s.account == "core" and s.stage not in others)


def task_seconds(tracks: pa.Table, timings: pa.Table, stems: tuple[str, ...]) -> dict[str, float]:
    infer = {stem: _sum(timings.filter(pc.field("stem") == stem)["infer_s"]) for stem in stems}
    of_tracks = {name: _sum(tracks[f"{name}_s"]) for name in ("probe", "decode", "stitch", "upload")}
    return of_tracks | {"encode": _sum(tracks["write_s"]) - of_tracks["upload"]} | infer


def _core(stage: str, task_s: float | None, core_s: float, capacity: float) -> Stage:
    return Stage("core", stage, task_s, core_s, core_s / capacity)


def _sum(column: pa.ChunkedArray) -> float:
    return float(pc.sum(column).as_py() or 0.0)
