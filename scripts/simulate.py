"""How far the pipeline scales, without the hardware: the real pipeline, with inferences that sleep.

    python scripts/simulate.py scale [--nodes 1 4 16 64] [--x-realtime 40] [--minutes 4]
    python scripts/simulate.py driver [--tracks 1000000]

`scale` runs `jobs.pipeline.dataset.RayPipeline` as a job does, on one Ray head: the same operators, pools,
tasks and rows, and inferences that sleep as long as on a node of `--x-realtime`. Audio is left out, and
the CPU stages take no time, since a larger cluster has as many more cores for them. So it tests the one
thing that a larger cluster has no more of: the driver, with Ray Data's scheduling. It does not test
networks, stores, object stores or a node's own cores; and it is pessimistic, since all tasks of all nodes
cost their overhead on this one machine. An actor process stands for up to `CALLS` actors, to save memory.

`driver` feeds finished tracks through the driver's own work: tables, counts, the set of missing tracks.
"""

import argparse
import logging
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import ray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from jobs.pipeline import records
from jobs.pipeline.arrow import from_table, pack, to_table
from jobs.pipeline.catalogue.manifest import listed_table
from jobs.pipeline.dataset import RayPipeline
from jobs.pipeline.driver import Finisher
from jobs.pipeline.job import Job
from jobs.pipeline.output.tables import TableWriter
from jobs.pipeline.progress import Progress
from jobs.pipeline.records import (
    Decoded,
    Encoded,
    FinishedSection,
    FinishedTrack,
    ListedTrack,
    Source,
    Track,
    TrackChunk,
    TrackSection,
    Work,
    merge,
)
from jobs.pipeline.sizing import TASK_CPUS, JobPlan
from jobs.pipeline.stages.cut import MIX
from jobs.pipeline.stages.infer import add_stem
from jobs.pipeline.stages.separation import separation_stages
from jobs.pipeline.stages.stage import Observe, Stages, Step
from jobs.pipeline.stages.worker import Worker
from separation.contract import SAMPLE_RATE, STEMS, STRIDE
from separation.level import Level
from separation.models.bag import Bag, SpecialistFile
from separation.options import Options
from separation.store.objects import Store
from separation.store.retry import RetryPolicy

CALLS = 16
TASKS_AT_ONCE = 8  # of probe, cut and stitch, each a process here
NODE = "n" * 56  # a node id's length


@dataclass(frozen=True, slots=True)
class Load:
    """Tracks of `length` samples; an actor takes `chunk_s` per chunk while the others use the device too."""

    length: int
    chunk_s: float


def probe(load: Load, listed: pa.Table, job: Job, worker: Worker) -> pa.Table:
    return to_table([probed(track, load) for track in from_table(ListedTrack, listed)], Track)


def probed(listed: ListedTrack, load: Load) -> Track:
    return Track(
        track_id=listed.track_id,
        uri=listed.uri,
        failure=None,
        warnings=(),
        source=Source(random.randrange(20_000_000, 30_000_000), random.randbytes(16).hex()),
        encoded=Encoded(SAMPLE_RATE, 2),
        decoded=Decoded(load.length, Level(0.0, 0.1, 0.5)),
        probe_s=random.random(),
        started_at=datetime.now(UTC),
    )


def cut(sections: pa.Table, job: Job, worker: Worker) -> pa.Table:
    (section,) = from_table(TrackSection, sections)
    chunks = [TrackChunk(section, 0.0, index) for index in range(section.chunks)]
    return to_table(chunks, TrackChunk).append_column(MIX, pack([None] * len(chunks)))


def load_sleep(load: Load, stem: str, job: Job, worker: Worker, observe: Observe) -> Step:
    """Sleeps as long as an actor needs that shares its node's device with those of the other stems."""
    run = records.InferenceRun(load.chunk_s, 0.0, 1.0, None, None, None, None, NODE)

    def step(chunks: pa.Table) -> pa.Table:
        time.sleep(len(chunks) * load.chunk_s)
        return add_stem(chunks, stem, [None] * len(chunks), [run] * len(chunks))

    return step


def stitch(chunks: pa.Table, job: Job, worker: Worker) -> pa.Table:
    section = from_table(TrackSection, chunks.slice(0, 1))[0]
    return to_table([FinishedSection(section, finished_work(job, section.track.track_id))], FinishedSection)


def finished_work(job: Job, track_id: str) -> Work:
    """What the last stage adds to a track; its numbers and hashes compress as badly as real ones."""
    return Work(
        decode_s=random.random(),
        stitch_s=random.random(),
        write_s=random.random(),
        upload_s=random.random(),
        clip_factor=1.0,
        stems=tuple(stem_result(stem, f"{job.output}/stems/{track_id}/{stem}.wav") for stem in STEMS),
    )


def stem_result(stem: str, uri: str) -> records.StemResult:
    seconds = (random.random(), random.random(), 41.0)
    run = records.InferenceRun(*seconds, stem[0] * 64, "fp32", "CUDAExecutionProvider", "NVIDIA L4", NODE)
    file = (random.randrange(40_000_000, 50_000_000), random.randbytes(32).hex(), random.random())
    return records.StemResult(stem, uri, *file, chunks=41, run=run)


def sleeping_stages(job: Job, load: Load, calls: int) -> Stages:
    """The stages of a separation; an actor runs `calls` sleeping inferences at once."""
    stages = separation_stages(job)
    return replace(
        stages,
        probe=replace(stages.probe, work=partial(probe, load)),
        cut=replace(stages.cut, work=cut),
        infer=tuple(replace(stage, load=partial(load_sleep, load), calls=calls) for stage in stages.infer),
        stitch=replace(stages.stitch, work=stitch),
    )


def simulated_job(output: str, nodes: int, store: Store) -> Job:
    calls = min(nodes, CALLS)
    actors = -(-nodes // calls)
    plan = JobPlan("cpu", actors, actors, 0.25 * calls, 0.0, 1, 0, 1, 64, 64, TASK_CPUS)
    file = SpecialistFile("x.onnx", "0" * 64, 1, "", "")
    bag = Bag(".", "simulated", STEMS, "fp32", dict.fromkeys(STEMS, file))
    return Job("simulation", output, bag, Options(), plan, "", 0, 0.0, store)


def simulated_load(x_realtime: float, minutes: float) -> Load:
    return Load(round(minutes * 60 * SAMPLE_RATE), STRIDE / SAMPLE_RATE / x_realtime)


def catalogue(tracks: int) -> pa.Table:
    ids = [f"label/{number // 1000:04}/{number:07} a title of some length.flac" for number in range(tracks)]
    uris = [f"s3://music/catalogue/{track_id}" for track_id in ids]
    return listed_table(pa.array(ids), pa.array(uris), pa.nulls(tracks, pa.string()))


def scale(args: argparse.Namespace, console: Console, store: Store) -> None:
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
    job = simulated_job("s3://music/out", nodes, store)
    load = simulated_load(args.x_realtime, args.minutes)
    a_track_s = args.minutes * 60 / args.x_realtime
    fill_s = (len(STEMS) + 2) * a_track_s  # a track is in every pool, and two are on their way
    count = int(nodes * (2 * fill_s + args.seconds) / a_track_s) + 2 * nodes
    pools = len(STEMS) * job.plan.actors * job.plan.cpus_per_actor
    cpus = int(pools + 2 + TASKS_AT_ONCE * TASK_CPUS)
    # Ray gives its workers a low priority, which on a machine with other work would be measured instead.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
    ray.init(
        "local",
        num_cpus=cpus,
        object_store_memory=300_000_000,
        logging_level=logging.ERROR,
        log_to_driver=False,
    )
    try:
        # Without it the first second of a run would count processes that start.
        ray.data.DataContext.get_current().wait_for_min_actors_s = 300
        pipeline = RayPipeline(job, sleeping_stages(job, load, calls=min(nodes, CALLS)))
        return _rate(pipeline.sections(catalogue(count)), fill_s, args.seconds)
    finally:
        ray.shutdown()


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


def driver(args: argparse.Namespace, console: Console, store: Store) -> None:
    """Memory and bytes of the driver's own part of `run`; prints a line after every tenth of the tracks.

    `--rate` keeps the tracks slower than the tables are written, as in any cluster: otherwise the memory of
    the tracks that wait for the writer would be measured.
    """
    console.print(f"{rss():.0f} MB before")
    tracks = catalogue(args.tracks)
    missing = set(tracks["track_id"].to_pylist())
    console.print(f"{rss():.0f} MB with the catalogue and the set of missing tracks")
    with tempfile.TemporaryDirectory(prefix="simulate-") as folder:
        job, load = simulated_job(folder, 1, store), simulated_load(x_realtime=40, minutes=4)
        clock = time.perf_counter()
        with (
            TableWriter(folder, "20260101T000000-000000", job.store) as writer,
            Progress(args.tracks, console) as progress,
            ThreadPoolExecutor(1) as pool,
        ):
            finisher = Finisher(pool, merge)
            for number, finished in enumerate(_finished(tracks, job, load), 1):
                writer.add(finished)
                progress.add(finished.track.length / SAMPLE_RATE)
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
    driving = commands.add_parser("driver")
    driving.add_argument("--tracks", type=int, default=1_000_000)
    driving.add_argument("--rate", type=float, default=2000.0, help="tracks a second (%(default)g)")
    args = parser.parse_args()
    console, store = Console(highlight=False, markup=False), Store(RetryPolicy.from_environment())
    {"scale": scale, "driver": driver}[args.command](args, console, store)


if __name__ == "__main__":
    main()
