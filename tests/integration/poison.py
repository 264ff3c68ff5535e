"""`jobs.separate` with steps that a track of their name kills: `bass.wav` each process that infers its bass.

    python -m tests.integration.poison DEATHS --input URI ... as jobs.separate

Each death is a line of the file DEATHS. Run as a program, so that Ray carries the steps by value.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from rich.console import Console

from jobs.pipeline import job_request
from jobs.pipeline.arrow import Row
from jobs.pipeline.catalogue import read_catalogue
from jobs.pipeline.dataset import Road, Steps, cluster_nodes
from jobs.pipeline.driver import run
from jobs.pipeline.job import Job
from jobs.pipeline.stages import steps, stitch
from jobs.separate.__main__ import parser
from jobs.separate.work import find_work

DEATHS = Path(sys.argv[1])


def die(poison: str, rows: list[Row]) -> None:
    """Ends this process if a good row's track is named after `poison`."""
    for row in rows:
        if row["track_id"].startswith(poison) and row.get("status", "ok") == "ok":
            with DEATHS.open("a") as file:
                file.write(f"{row['track_id']}\n")
            os.kill(os.getpid(), signal.SIGKILL)


def poisoned(poison: str, step: Any) -> Any:
    def stepping(table: pa.Table, job: Job) -> pa.Table:
        audio = {field.name for field in table.schema if pa.types.is_large_binary(field.type)}
        die(poison, table.drop_columns(list(audio)).to_pylist())
        return step(table, job)

    stepping.__name__ = step.__name__
    return stepping


class Infer(steps.Infer):
    def __call__(self, chunks: pa.Table) -> pa.Table:
        die(self.stem, chunks.select(["track_id", "status"]).to_pylist())
        return super().__call__(chunks)


def finish(rows: list[Row], job: Job) -> Row:
    die("finish", rows)
    return stitch.finish(rows, job)


STEPS = Steps(
    probe=poisoned("probe", steps.probe),
    chunk=poisoned("cut", steps.chunk),
    infer=Infer,
    stitch=poisoned("stitch", stitch.stitch),
    finish=finish,
)


def main() -> int:
    args = parser().parse_args(sys.argv[2:])
    ray.init(logging_level="warning", log_to_driver=False)
    job = job_request.from_arguments(args).job(cluster_nodes())
    work = find_work(read_catalogue(args.input), job, force=args.force, retry_errors=args.retry_errors)
    return 1 if run(work.pending, job, Console(), Road(job, STEPS)).failed else 0


if __name__ == "__main__":
    sys.exit(main())
