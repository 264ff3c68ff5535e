"""What happens once per job: models are fetched and opened, and run for the first time."""

import time
from typing import Any

import numpy as np
import ray

from jobs.pipeline.cost.summary import Opening
from jobs.pipeline.job import Job
from jobs.pipeline.stages.infer import fetch_specialist, open_specialist
from separation.contract import CHANNELS, SEGMENT
from separation.models.specialist import Specialist


def openings(job: Job) -> list[Opening]:
    """Each specialist in turn, opened in a worker as an actor of its pool opens it."""
    plan = job.plan
    remote: Any = ray.remote(_open)
    task = remote.options(num_cpus=plan.cpus_per_actor, num_gpus=plan.gpus_per_actor, max_retries=0)
    return [ray.get(task.remote(stem, job)) for stem in job.stems]


def _open(stem: str, job: Job) -> Opening:
    clock = time.perf_counter()
    file = fetch_specialist(stem, job)
    fetch_s = time.perf_counter() - clock
    specialist = open_specialist(stem, job, file)
    segment = np.random.default_rng(0).standard_normal((1, CHANNELS, SEGMENT), np.float32)
    first_s, chunk_s = (_seconds_of(specialist, segment) for _ in range(2))
    return Opening(stem, fetch_s, specialist.load_s, first_s, chunk_s, specialist.device)


def _seconds_of(specialist: Specialist, segment: np.ndarray) -> float:
    clock = time.perf_counter()
    specialist(segment)
    return time.perf_counter() - clock
