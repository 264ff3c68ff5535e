"""How far the pipeline scales, without the hardware: its own road, with inferences that sleep.

    python scripts/simulate.py scale [--nodes 1,4,16,64] [--x-realtime 40] [--minutes 4]
    python scripts/simulate.py driver [--tracks 1000000]

`scale` runs `jobs.pipeline.dataset.Road` as a job does, on one Ray head: the same operators, pools,
tasks and rows, and inferences that sleep as long as on a node of `--x-realtime`. Audio is left out, and
the CPU stages take no time, since a larger cluster has as many more cores for them. So it tests what a
larger cluster has only one of: the driver, with Ray Data's scheduling. It does not test networks,
stores, object stores or a node's own cores; and it is pessimistic in that all tasks of all nodes cost
their overhead on this one machine. An actor process stands for up to `CALLS` actors: processes need memory.

`driver` feeds finished tracks through what the driver keeps of them: tables, counts, what is missing.
"""

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import ray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from jobs.pipeline import schema
from jobs.pipeline.arrow import Row, pack
from jobs.pipeline.dataset import Road, Steps
from jobs.pipeline.driver import Finisher
from jobs.pipeline.job import Job
from jobs.pipeline.output.tables import TableWriter
from jobs.pipeline.progress import Progress
from jobs.pipeline.sizing import TASK_CPUS, Plan
from jobs.pipeline.stages import steps
from separation.contract import SAMPLE_RATE, STEMS, STRIDE
from separation.models.bag import Bag, SpecialistFile
from separation.options import Options

CALLS = 16
TASKS_AT_ONCE = 8  # of probe, chunk and stitch, each a process here
NODE = "n" * 56  # a node id's length


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedJob(Job):
    length: int  # samples of every track
    chunk_s: float  # that an actor takes for a chunk while the other specialists use the device too


def probe(tracks: pa.Table, job: SimulatedJob) -> pa.Table:
    rows = [
        {
            **track,
            "status": "ok",
            "warnings": [],
            "source_bytes": random.randrange(20_000_000, 30_000_000),
            "source_etag": random.randbytes(16).hex(),
            "sample_rate_hz": SAMPLE_RATE,
            "channels": 2,
            "probe_s": random.random(),
            "started_at": datetime.now(UTC),
            "length": job.length,
            "mean": 0.0,
            "std": 0.1,
            "peak": 0.5,
        }
        for track in tracks.to_pylist()
    ]
    return pa.Table.from_pylist(rows, schema.SOURCE)


def chunk(sections: pa.Table, job: SimulatedJob) -> pa.Table:
    (section,) = sections.to_pylist()
    rows = [{**section, "decode_s": 0.0, "chunk": index} for index in range(section["chunks"])]
    columns = pa.Table.from_pylist(rows, schema.CHUNK.remove(schema.CHUNK.get_field_index("mix")))
    return columns.append_column("mix", pack([None] * len(rows)))


class Infer:
    """Sleeps as long as an actor needs that shares its node's device with those of the other stems."""

    def __init__(self, stem: str, job: SimulatedJob, node: str):
        self.stem, self.chunk_s = stem, job.chunk_s
        self.facts = {"device": "none"}

    def __call__(self, chunks: pa.Table) -> pa.Table:
        time.sleep(len(chunks) * self.chunk_s)
        run = {"infer_s": self.chunk_s, "queue_s": 0.0, "batches": 1.0, "node": NODE}
        return chunks.append_column(self.stem, pack([None] * len(chunks))).append_column(
            f"{self.stem}_run", pa.array([run] * len(chunks), schema.RUN)
        )


def stitch(chunks: pa.Table, job: SimulatedJob) -> pa.Table:
    row = chunks.slice(0, 1).select(schema.SECTION.names).to_pylist()[0]
    return pa.Table.from_pylist([row | ending(job, row["track_id"])], schema.FINISHED)


def ending(job: SimulatedJob, track_id: str) -> Row:
    """What the last stage adds to a track's row; its numbers and hashes compress as badly as real ones."""
    names = {"precision": "fp32", "provider": "CUDAExecutionProvider", "device": "NVIDIA L4", "node": NODE}
    stems = [
        {
            **names,
            "stem": stem,
            "uri": f"{job.output}/stems/{track_id}/{stem}.wav",
            "bytes": random.randrange(40_000_000, 50_000_000),
            "sha256": random.randbytes(32).hex(),
            "peak": random.random(),
            "model_sha256": stem[0] * 64,
            "chunks": 41,
            "batches": 41.0,
            "infer_s": random.random(),
            "queue_s": random.random(),
        }
        for stem in STEMS
    ]
    seconds = {f"{name}_s": random.random() for name in ("decode", "stitch", "write", "upload")}
    return {**seconds, "clip_factor": 1.0, "stems": stems}


def simulated_job(output: str, nodes: int, x_realtime: float, minutes: float) -> SimulatedJob:
    calls = min(nodes, CALLS)
    actors = -(-nodes // calls)
    plan = Plan("cpu", actors, actors, 0.25 * calls, 0.0, 1, 0, 1, 64, 64, TASK_CPUS)
    file = SpecialistFile("x.onnx", "0" * 64, 1, "", "")
    bag = Bag(".", "simulated", STEMS, "fp32", dict.fromkeys(STEMS, file))
    return SimulatedJob(
        *("simulation", output, bag, Options(), plan, "", 0, 0.0),
        length=round(minutes * 60 * SAMPLE_RATE),
        chunk_s=STRIDE / SAMPLE_RATE / x_realtime,
    )


def catalogue(tracks: int) -> pa.Table:
    ids = [f"label/{number // 1000:04}/{number:07} a title of some length.flac" for number in range(tracks)]
    return pa.table({"track_id": ids, "uri": [f"s3://music/catalogue/{i}" for i in ids]})


def scale(args: argparse.Namespace, console: Console) -> None:
    """A row a size; `of linear` against the first of them, `of ideal` against nodes that never wait."""
    table = Table("nodes", "tracks a second", "of linear", "of ideal", "driver cores", box=SIMPLE)
    one = None
    for nodes in args.nodes:
        rate, driver = measure(nodes, args)
        one = one or rate / nodes
        ideal = nodes * args.x_realtime / 60 / args.minutes
        row = [f"{rate:.3f}", f"{rate / nodes / one:.3f}", f"{rate / ideal:.3f}", f"{driver:.2f}"]
        table.add_row(str(nodes), *row)
        console.print(f"{nodes} nodes: {', '.join(row)}")
    console.print(table)


def measure(nodes: int, args: argparse.Namespace) -> tuple[float, float]:
    """Tracks a second once the pools are full, and cores that the driver used."""
    job = simulated_job("s3://music/out", nodes, args.x_realtime, args.minutes)
    a_track_s = args.minutes * 60 / args.x_realtime
    fill_s = (len(STEMS) + 2) * a_track_s  # a track is in every pool, and two are on their way
    count = int(nodes * (2 * fill_s + args.seconds) / a_track_s) + 2 * nodes
    pools = len(STEMS) * job.plan.actors * job.plan.cpus_per_actor
    cpus = int(pools + 2 + TASKS_AT_ONCE * TASK_CPUS)
    # Ray gives its workers a low priority, which on a machine with other work would be measured instead.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray spells it so
    ray.init(
        "local", num_cpus=cpus, object_store_memory=300_000_000, logging_level="error", log_to_driver=False
    )
    try:
        # Without it the first second of a run would count processes that start.
        ray.data.DataContext.get_current().wait_for_min_actors_s = 300
        sleeping = Steps(probe, steps.plan, chunk, Infer, stitch, calls=min(nodes, CALLS))
        return _rate(Road(job, sleeping).sections(catalogue(count)), fill_s, args.seconds)
    finally:
        ray.shutdown()


def _rate(rows: Iterator[Row], fill_s: float, seconds: float) -> tuple[float, float]:
    """Nodes that began together finish together: bursts, which a slope through all moments does not mind."""
    me, first, moments, cpu = psutil.Process(), None, [], 0.0
    for _ in rows:
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


def driver(args: argparse.Namespace, console: Console) -> None:
    """Memory and bytes of the driver's own part of `run`, a line every tenth.

    Faster than the tables are written, which no cluster is, the rows that wait would be measured.
    """
    console.print(f"{rss():.0f} MB before")
    tracks = catalogue(args.tracks)
    missing = set(tracks["track_id"].to_pylist())
    console.print(f"{rss():.0f} MB with the catalogue and what is missing of it")
    with tempfile.TemporaryDirectory(prefix="simulate-") as folder:
        job = simulated_job(folder, 1, 40, 4)
        clock = time.perf_counter()
        with (
            TableWriter(folder, "20260101T000000-000000") as writer,
            Progress(args.tracks, console) as progress,
        ):
            finisher = Finisher(None, lambda rows: rows[0])  # type: ignore[arg-type]
            for number, track in enumerate(_finished(tracks, job), 1):
                writer.add(track)
                progress.add(track)
                missing.discard(track["track_id"])
                finisher.done()
                if number % 1000 == 0:
                    time.sleep(max(0.0, number / args.rate - (time.perf_counter() - clock)))
                if number % max(1, args.tracks // 10) == 0:
                    spent = time.perf_counter() - clock
                    console.print(f"{number:,} tracks: {rss():.0f} MB, {number / spent:,.0f} tracks a second")
        sizes = {
            name: [p.stat().st_size for p in Path(folder, name).iterdir()] for name in ("tracks", "timings")
        }
    for name, bytes_of in sizes.items():
        console.print(f"{name}: {len(bytes_of)} files, {sum(bytes_of) / 1e6:.1f} MB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f"{peak:.0f} MB at most; {len(missing)} missing at the end")


def _finished(tracks: pa.Table, job: SimulatedJob) -> Iterator[Row]:
    for batch in tracks.to_batches(max_chunksize=1000):
        for row in probe(pa.Table.from_batches([batch]), job).to_pylist():
            yield row | {"section": 0, "sections": 1, "chunks": 41} | ending(job, row["track_id"])


def rss() -> float:
    return psutil.Process().memory_info().rss / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(required=True, dest="command")
    scaling = commands.add_parser("scale")
    scaling.add_argument(
        "--nodes", type=lambda text: [int(n) for n in text.split(",")], default=[1, 4, 16, 64]
    )
    scaling.add_argument("--x-realtime", type=float, default=40.0, help="of a node (%(default)g)")
    scaling.add_argument("--minutes", type=float, default=4.0, help="of a track (%(default)g)")
    scaling.add_argument("--seconds", type=float, default=60.0, help="to measure, once filled (%(default)g)")
    driving = commands.add_parser("driver")
    driving.add_argument("--tracks", type=int, default=1_000_000)
    driving.add_argument("--rate", type=float, default=2000.0, help="tracks a second (%(default)g)")
    args = parser.parse_args()
    {"scale": scale, "driver": driver}[args.command](args, Console(highlight=False, markup=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
