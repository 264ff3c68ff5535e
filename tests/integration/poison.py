"""`jobs.separate` with stages that a track of their name kills: `bass.wav` each process that infers its bass.

    python -m tests.integration.poison DEATHS --input URI ... as jobs.separate

Each death is a line of the file DEATHS. Run as a program, so that Ray carries the stages by value.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import ray

from jobs.pipeline import job_request
from jobs.pipeline.catalogue.reading import read_catalogue
from jobs.pipeline.dataset import RayPipeline, cluster_nodes
from jobs.pipeline.driver import run
from jobs.pipeline.job import Job
from jobs.pipeline.progress import Events
from jobs.pipeline.records import FinishedSection, FinishedTrack
from jobs.pipeline.stages.infer import load_infer
from jobs.pipeline.stages.separation import separation_stages
from jobs.pipeline.stages.stage import Observe, Stages, Step, TaskStage
from jobs.pipeline.stages.stitch import finish
from jobs.pipeline.stages.worker import Worker
from jobs.separate.__main__ import parser
from jobs.separate.work import find_work
from separation.console import LineConsole
from tests.stores import STORE

DEATHS = Path(sys.argv[1])


def die(poison: str, table: pa.Table) -> None:
    """Ends this process if the table has a good track that is named after `poison`."""
    for row in table.select(["track_id", "error"]).to_pylist():
        if row["track_id"].startswith(poison) and row["error"] is None:
            die_of(row["track_id"])


def die_of(track_id: str) -> None:
    with DEATHS.open("a") as file:
        file.write(f"{track_id}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def poisoned(stage: TaskStage) -> TaskStage:
    def work(table: pa.Table, job: Job, worker: Worker) -> pa.Table:
        die(stage.name, table)
        return stage.work(table, job, worker)

    return replace(stage, work=work)


def load_poisoned(graph: str, job: Job, worker: Worker, observe: Observe) -> Step:
    infer = load_infer(graph, job, worker, observe)

    def step(chunks: pa.Table) -> pa.Table:
        die(graph, chunks)
        return infer(chunks)

    return step


def finish_poisoned(sections: Sequence[FinishedSection], job: Job, worker: Worker) -> FinishedTrack:
    track = sections[0].track
    if track.track_id.startswith("finish") and track.failure is None:
        die_of(track.track_id)
    return finish(sections, job, worker)


def poisoned_stages(job: Job) -> Stages:
    stages = separation_stages(job)
    return replace(
        stages,
        probe=poisoned(stages.probe),
        cut=poisoned(stages.cut),
        infer=tuple(replace(stage, load=load_poisoned) for stage in stages.infer),
        stitch=poisoned(stages.stitch),
        finish=replace(stages.finish, work=finish_poisoned),
    )


def main() -> int:
    args = parser().parse_args(sys.argv[2:])
    ray.init(logging_level=logging.WARNING, log_to_driver=False)
    job = job_request.from_arguments(args, STORE).job(cluster_nodes())
    found = read_catalogue(args.input, args.output, STORE)
    work = find_work(found, job, force=args.force, retry_errors=args.retry_errors)
    pipeline = RayPipeline(job, poisoned_stages(job))
    return 1 if run(work.pending, job, Events(LineConsole()), pipeline).failed else 0


if __name__ == "__main__":
    sys.exit(main())
