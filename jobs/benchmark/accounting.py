"""Where the time of a run went, in two accounts that each add up to the whole.

Stages overlap: while one track is decoded, four others are in the pools. Their seconds cannot be laid
end to end, so one list of "seconds per stage" would add up to anything. Instead:

phase   what the driver waited for, end to end; measured moments, so they sum to the run's wall time:
        start (pools up, models open), work (first probe to last commit), end
core    core-seconds: a machine of C cores has C x wall of them. What each stage's processes used is
        read from the kernel (see `process_usage`), and so are idle and stolen ticks. The only remainder
        is `unseen`: what the kernel calls busy and no process that we saw had used. The sum of the
        others over C x wall is `accounted`, which is 1 up to what escaped the readings.

Of its rows, load is actors that start and open their models, driver is the job's own process, ray all
of Ray's other processes, watch the readings themselves, outside every other program of the machine. A graph
has a row of its name, or `infer <graph>` where another row has that name.

Beside its core-seconds, a row has `task_s`: the seconds that its tasks took from start to end as they
measured themselves, waiting for disks, stores and cores included, summed over all tasks. They say how long
a track takes through a stage, not what the stage costs. `stitch`, `encode` and `upload` run in one task:
its core-seconds are divided between them in proportion to their task seconds.
"""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from jobs.benchmark.process_usage import DRIVER, LOAD, OUTSIDE, RAY, WATCH, Usage
from jobs.pipeline.cost.summary import AccountRow
from jobs.pipeline.stages.stage import infer_name

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

TASKS = {"probe": "probe", "split": "probe", "cut": "decode"}  # stage of the pipeline -> row
STITCHING = ("stitch", "finish")  # stages of the pipeline
WRITING = ("stitch", "encode", "upload")  # the rows of those stages
REST = ("idle", "stolen", "unseen")
NAMED = {LOAD, DRIVER, RAY, WATCH, OUTSIDE, *TASKS.values(), *WRITING, *REST}  # all rows that are no graph's


def phases(seconds: dict[str, float]) -> list[AccountRow]:
    total = sum(seconds.values())
    return [AccountRow("phase", name, spent, None, spent / total) for name, spent in seconds.items()]


def cores(
    usages: list[Usage], tracks: pa.Table, timings: pa.Table, graphs: Sequence[str]
) -> list[AccountRow]:
    """The core account over all machines, in the order of the data flow."""
    capacity = sum(usage.cores * usage.wall_s for usage in usages)
    row_of = TASKS | {infer_name(graph): row_name(graph) for graph in graphs}
    used: dict[str, float] = {}
    stitching = 0.0
    for usage in usages:
        for activity, core_s in usage.core_s.items():
            if activity in STITCHING:
                stitching += core_s
            else:
                row = row_of.get(activity, activity)
                used[row] = used.get(row, 0.0) + core_s
    task_s = task_seconds(tracks, timings, graphs)
    writing_s = sum(task_s[name] for name in WRITING)
    for name in WRITING:
        used[name] = stitching * (task_s[name] / writing_s if writing_s else 1 / len(WRITING))
    order = [LOAD, "probe", "decode", *map(row_name, graphs), *WRITING, DRIVER, RAY, WATCH, OUTSIDE]
    stages = [_core(name, task_s.get(name), used.get(name, 0.0), capacity) for name in order]
    rest = (
        sum(usage.idle_s for usage in usages),
        sum(usage.stolen_s for usage in usages),
        sum(usage.busy_s for usage in usages) - sum(used.values()),
    )
    return stages + [_core(name, None, core_s, capacity) for name, core_s in zip(REST, rest, strict=True)]


def row_name(graph: str) -> str:
    """The name of a graph's row: the graph, unless a row of another kind is called so."""
    return f"infer {graph}" if graph in NAMED else graph


def waits(timings: pa.Table, wall_s: float) -> list[AccountRow]:
    """Seconds that inferences waited for a slot on their node; `share` is how many waited on average."""
    queue_s = _sum(timings["queue_s"])
    return [AccountRow("wait", "turn", queue_s, None, queue_s / wall_s)]


def accounted(stages: list[AccountRow]) -> float:
    """The part of all core-seconds that the core account names; 1 is everything."""
    return sum(s.share or 0.0 for s in stages if s.account == "core" and s.stage != "unseen")


def own_core_s(stages: list[AccountRow]) -> float:
    """Core-seconds of the run's own work, which other programs on the machine hardly change.

    Loading is left out as it happens once, and so are the readings.
    """
    others = {LOAD, WATCH, OUTSIDE, *REST}
    return sum(s.core_s or 0.0 for s in stages if s.account == "core" and s.stage not in others)


def task_seconds(tracks: pa.Table, timings: pa.Table, graphs: Sequence[str]) -> dict[str, float]:
    """Task seconds by row, from the columns of the tables; those of several graphs are divided equally."""
    infer = dict.fromkeys(map(row_name, graphs), 0.0)
    by_graphs = (
        timings.filter(pc.is_valid(timings["infer_s"])).group_by("graph").aggregate([("infer_s", "sum")])
    )
    for row in by_graphs.to_pylist():
        names = row["graph"].split("+")
        for name in names:
            infer[row_name(name)] += row["infer_s_sum"] / len(names)
    of_tracks = {name: _sum(tracks[f"{name}_s"]) for name in ("probe", "decode", "stitch", "upload")}
    return of_tracks | {"encode": _sum(tracks["write_s"]) - of_tracks["upload"]} | infer


def _core(stage: str, task_s: float | None, core_s: float, capacity: float) -> AccountRow:
    return AccountRow("core", stage, task_s, core_s, core_s / capacity)


def _sum(column: pa.ChunkedArray) -> float:
    return float(pc.sum(column).as_py() or 0.0)
