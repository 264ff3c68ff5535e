"""What happens once and not for every track: models fetched and opened, a first inference."""

import time
from pathlib import Path

import numpy as np
import ray

from jobs.pipeline.cost.summary import Opening
from jobs.pipeline.job import Job
from separation.contract import CHANNELS, SEGMENT
from separation.models.bag import fetch
from separation.models.specialist import Specialist


def openings(job: Job) -> list[Opening]:
    """One specialist after the other, in a worker, as an actor of the pools opens it."""
    plan = job.plan
    task = ray.remote(_open).options(
        num_cpus=plan.cpus_per_actor, num_gpus=plan.gpus_per_actor, max_retries=0
    )
    return [ray.get(task.remote(stem, job)) for stem in job.stems]


def _open(stem: str, job: Job) -> Opening:
    clock = time.perf_counter()
    file = fetch(job.bag, stem, Path(job.cache) / "models")
    fetch_s = time.perf_counter() - clock
    plan = job.plan
    specialist = Specialist(
        file,
        stem,
        job.bag.stems,
        provider=plan.provider,
        threads=plan.threads,
        spinning=False,
        cache=Path(job.cache) / "optimized",
    )
    segment = np.random.default_rng(0).standard_normal((1, CHANNELS, SEGMENT), np.float32)
    seconds = []
    for _ in range(2):
        clock = time.perf_counter()
        specialist(segment)
        seconds.append(time.perf_counter() - clock)
    first_s, chunk_s = seconds
    return Opening(stem, fetch_s, specialist.load_s, first_s, chunk_s, specialist.device)
