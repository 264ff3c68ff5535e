"""How far the pipeline scales, without the hardware: the real pipeline, with inferences that sleep.

    python scripts/simulate.py scale [--nodes 1 4 16 64] [--x-realtime 40] [--minutes 4]
    python scripts/simulate.py makespan (--cpus 16 | --gpus 4) [--tracks 12] [--graphs 4] [--x-realtime 40]
    python scripts/simulate.py driver [--tracks 1000000]

`scale` runs `jobs.pipeline.dataset.RayPipeline` as a job does, on one Ray head: the same operators, pools,
tasks and rows, and inferences that sleep as long as on a node of `--x-realtime`. Audio is left out, and
the CPU stages take no time, since a larger cluster has as many more cores for them. So it tests the one
thing that a larger cluster has no more of: the driver, with Ray Data's scheduling. It does not test
networks, stores, object stores or a node's own cores; and it is pessimistic, since all tasks of all nodes
cost their overhead on this one machine. An actor process stands for up to `CALLS` actors, to save memory.

`makespan` plans a job for one node of so many CPUs or GPUs and runs all of a small catalogue in the same way,
parts and joining included: in whole sections, and in those that the plan makes for so few tracks. Beside it
stands what `makespan.py` computes.

`driver` feeds finished tracks through the driver's own work: tables, counts, the set of missing tracks.
"""

import argparse
import logging
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import ray
from makespan import Catalogue, Cluster, makespan
from rich.box import SIMPLE
from rich.table import Table
from simulated import Load, bag, catalogue, finished_work, probed, sleeping_stages

from jobs.pipeline.arrow import from_table
from jobs.pipeline.dataset import RayPipeline
from jobs.pipeline.driver import FINISHING, Finisher
from jobs.pipeline.job import Job
from jobs.pipeline.output.tables import TableWriter
from jobs.pipeline.progress import Counts, Events, Progress
from jobs.pipeline.records import FinishedSection, FinishedTrack, ListedTrack, merge
from jobs.pipeline.sizing import TASK_CPUS, JobPlan, Node, Workload, plan_job
from separation.console import LineConsole
from separation.contract import HTDEMUCS
from separation.options import Options
from separation.store.objects import Store
from separation.store.retry import RetryPolicy

GRAPHS = 4  # of htdemucs_ft
CALLS = 16
TASKS_AT_ONCE = 8  # of probe, cut and stitch, each a process here
CHUNK_BYTES = 4 * HTDEMUCS.channels * HTDEMUCS.segment
STRIDE_S = HTDEMUCS.stride / HTDEMUCS.sample_rate


def simulated_job(output: str, plan: JobPlan, store: Store, graphs: int = GRAPHS) -> Job:
    return Job("simulation", output, bag(graphs), Options(), plan, "", 0, 0.0, store)


def scaled_plan(nodes: int) -> JobPlan:
    calls = min(nodes, CALLS)
    actors = -(-nodes // calls)
    return JobPlan("cpu", actors, actors, 0.25 * calls, 0.0, 1, 0, 1, 64, 64, CHUNK_BYTES, TASK_CPUS)


def simulated_load(x_realtime: float, minutes: float) -> Load:
    """An actor that shares its node's device with those of the other stems all the time."""
    return Load(round(minutes * 60 * HTDEMUCS.sample_rate), STRIDE_S / x_realtime)


def scale(args: argparse.Namespace, console: LineConsole, store: Store) -> None:
    """One row per cluster size: `of linear` against the first, `of ideal` against nodes that never wait."""
    table = Table("nodes", "tracks a second", "of linear", "of ideal", "driver cores", box=SIMPLE)
    one = None
    for nodes in args.nodes:
        rate, driver = measure(nodes, args, store)
        one = one or rate / nodes
        ideal = nodes * args.x_realtime / 60 / args.minutes
        row = [f"{rate:.3f}", f"{rate / nodes / one:.3f}", f"{rate / ideal:.3f}", f"{driver:.2f}"]
        table.add_row(str(nodes), *row)
        console.print(f"{nodes} nodes: {', '.join(row)}")
    console.print(table)


def measure(nodes: int, args: argparse.Namespace, store: Store) -> tuple[float, float]:
    """Tracks per second once the pools are full, and cores that the driver used."""
    job = simulated_job("s3://music/out", scaled_plan(nodes), store)
    load = simulated_load(args.x_realtime, args.minutes)
    a_track_s = args.minutes * 60 / args.x_realtime
    fill_s = (GRAPHS + 2) * a_track_s  # a track is in every pool, and two are on their way
    count = int(nodes * (2 * fill_s + args.seconds) / a_track_s) + 2 * nodes
    pools = GRAPHS * job.plan.actors * job.plan.cpus_per_actor
    start_ray(cpus=int(pools + 2 + TASKS_AT_ONCE * TASK_CPUS))
    try:
        pipeline = RayPipeline(job, sleeping_stages(job, load, calls=min(nodes, CALLS)))
        return _rate(pipeline.sections(catalogue(count)), fill_s, args.seconds)
    finally:
        ray.shutdown()


def start_ray(cpus: int, gpus: int = 0) -> None:
    """Ray on this machine with so many logical CPUs and GPUs; datasets wait for their actors."""
    # Ray gives its workers a low priority, which on a machine with other work would be measured instead.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
    ray.init(
        "local",
        num_cpus=cpus,
        num_gpus=gpus,
        object_store_memory=300_000_000,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    # Without it the first second of a run would count processes that start.
    ray.data.DataContext.get_current().wait_for_min_actors_s = 300


def _rate(sections: Iterator[FinishedSection], fill_s: float, seconds: float) -> tuple[float, float]:
    """Nodes that began together finish together, in bursts; the slope through all moments evens them out."""
    me, first, cpu = psutil.Process(), 0.0, 0.0
    moments: list[float] = []
    for _ in sections:
        now = time.perf_counter()
        first = first or now
        if now - first < fill_s:
            cpu = sum(me.cpu_times()[:2])
            continue
        moments.append(now)
        if now - moments[0] > seconds:
            break
    driver = (sum(me.cpu_times()[:2]) - cpu) / (moments[-1] - moments[0])
    return float(np.polyfit(np.array(moments) - moments[0], range(len(moments)), 1)[0]), driver


def small_catalogue(args: argparse.Namespace, console: LineConsole, store: Store) -> None:
    """One row per length of sections: the whole run's time as a multiple of work over cores, or over GPUs."""
    gpus, cpus = args.gpus, args.cpus or 4 * args.gpus
    node = Node(cpus, gpus, cpus * 1e9)
    whole = plan_job([node], Workload(args.graphs, max(4, args.graphs), CHUNK_BYTES), "auto", {})
    short = whole.for_tracks(args.graphs, args.tracks)
    length = round(args.minutes * 60 * HTDEMUCS.sample_rate)
    chunks = -(-length // HTDEMUCS.stride)
    cluster = Cluster.of(whole, 1, gpus)
    chunk_s = STRIDE_S * cluster.places * cluster.at_once / args.graphs / args.x_realtime
    model = Catalogue(args.tracks, chunks, STRIDE_S, args.graphs, max(4, args.graphs), chunk_s)
    for line in short.describe():
        console.print(line)
    table = Table("chunks a section", "s", "x work over cores", "model", "work over cores, s", box=SIMPLE)
    for plan in (whole, short):
        ideal_s = model.ideal_s(cluster)
        seconds = run_all(
            simulated_job("s3://music/out", plan, store, args.graphs), model, length, cpus, gpus
        )
        table.add_row(
            str(min(chunks, plan.section_chunks(chunks))),
            f"{seconds:.1f}",
            f"{seconds / ideal_s:.3f}",
            f"{makespan(model, plan, cluster) / ideal_s:.3f}",
            f"{ideal_s:.1f}",
        )
    console.print(table)


def run_all(job: Job, model: Catalogue, length: int, cpus: int, gpus: int) -> float:
    """Seconds from the first probe until every track is finished."""
    start_ray(cpus, gpus)
    try:
        with tempfile.TemporaryDirectory(prefix="simulate-") as gate, ThreadPoolExecutor(FINISHING) as pool:
            load = Load(length, model.chunk_s, model.store_s(1) / model.stride_s / 2, gate)
            pipeline = RayPipeline(job, sleeping_stages(job, load))
            finisher, started = Finisher(pool, pipeline.finish), datetime.now(UTC)
            for number, section in enumerate(pipeline.sections(catalogue(model.tracks))):
                started = min(started, section.track.started_at) if number else section.track.started_at
                if section.section.sections > 1:
                    finisher.add(section)
                finisher.done()
            finisher.rest()
            return (datetime.now(UTC) - started).total_seconds()
    finally:
        ray.shutdown()


def driver(args: argparse.Namespace, console: LineConsole, store: Store) -> None:
    """Memory and bytes of the driver's own part of `run`; prints a line after every tenth of the tracks.

    `--rate` keeps the tracks slower than the tables are written, as in any cluster: otherwise the memory of
    the tracks that wait for the writer would be measured.
    """
    console.print(f"{rss():.0f} MB before")
    tracks = catalogue(args.tracks)
    missing = set(tracks["track_id"].to_pylist())
    console.print(f"{rss():.0f} MB with the catalogue and the set of missing tracks")
    with tempfile.TemporaryDirectory(prefix="simulate-") as folder:
        job, load = simulated_job(folder, scaled_plan(1), store), simulated_load(x_realtime=40, minutes=4)
        clock = time.perf_counter()
        with (
            TableWriter(folder, "20260101T000000-000000", job.store, job.sample_rate) as writer,
            Progress(Counts(args.tracks), Events(console)) as progress,
            ThreadPoolExecutor(1) as pool,
        ):
            finisher = Finisher(pool, merge)
            for number, finished in enumerate(_finished(tracks, job, load), 1):
                writer.add(finished)
                progress.add(finished.track.length / job.sample_rate)
                missing.discard(finished.track.track_id)
                finisher.done()
                if number % 1000 == 0:
                    time.sleep(max(0.0, number / args.rate - (time.perf_counter() - clock)))
                if number % max(1, args.tracks // 10) == 0:
                    spent = time.perf_counter() - clock
                    console.print(f"{number:,} tracks: {rss():.0f} MB, {number / spent:,.0f} tracks a second")
        sizes = {
            name: [p.stat().st_size for p in Path(folder, name).iterdir()] for name in ("tracks", "timings")
        }
    for name, sizes_of in sizes.items():
        console.print(f"{name}: {len(sizes_of)} files, {sum(sizes_of) / 1e6:.1f} MB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"{peak:.0f} MB at most; {len(missing)} missing at the end")


def _finished(tracks: pa.Table, job: Job, load: Load) -> Iterator[FinishedTrack]:
    for batch in tracks.to_batches(max_chunksize=1000):
        for listed in from_table(ListedTrack, pa.Table.from_batches([batch])):
            yield FinishedTrack(probed(listed, load), 1, 41, finished_work(job, listed.track_id))


def rss() -> float:
    """Memory of this process in MiB."""
    return float(psutil.Process().memory_info().rss / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True, dest="command")
    scaling = commands.add_parser("scale")
    scaling.add_argument("--nodes", type=int, nargs="+", default=[1, 4, 16, 64])
    scaling.add_argument("--x-realtime", type=float, default=40.0, help="of a node (%(default)g)")
    scaling.add_argument("--minutes", type=float, default=4.0, help="of a track (%(default)g)")
    scaling.add_argument("--seconds", type=float, default=60.0, help="to measure, once filled (%(default)g)")
    small = commands.add_parser("makespan")
    device = small.add_mutually_exclusive_group(required=True)
    device.add_argument("--cpus", type=int, default=0)
    device.add_argument("--gpus", type=int, default=0)
    small.add_argument("--tracks", type=int, default=12)
    small.add_argument("--graphs", type=int, default=4)
    small.add_argument("--minutes", type=float, default=4.0, help="of a track (%(default)g)")
    small.add_argument("--x-realtime", type=float, default=40.0, help="of the node (%(default)g)")
    driving = commands.add_parser("driver")
    driving.add_argument("--tracks", type=int, default=1_000_000)
    driving.add_argument("--rate", type=float, default=2000.0, help="tracks a second (%(default)g)")
    args = parser.parse_args()
    console, store = LineConsole(), Store(RetryPolicy.from_environment())
    {"scale": scale, "makespan": small_catalogue, "driver": driver}[args.command](args, console, store)


if __name__ == "__main__":
    main()
