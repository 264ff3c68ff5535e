"""What happens once per job: models are fetched and opened, and run for the first time."""

import time
from typing import Any

import numpy as np
import ray

from jobs.pipeline.cost.summary import Opening
from jobs.pipeline.job import Job
from jobs.pipeline.stages.infer import fetch_for, open_for
from separation.models.graph import Graph


def openings(job: Job) -> list[Opening]:
    """Each graph in turn, opened in a worker as an actor of its pool opens it."""
    plan = job.plan
    remote: Any = ray.remote(_open)
    task = remote.options(num_cpus=plan.cpus_per_actor, num_gpus=plan.gpus_per_actor, max_retries=0)
    return [ray.get(task.remote(name, job)) for name in job.graphs]


def _open(name: str, job: Job) -> Opening:
    clock = time.perf_counter()
    file = fetch_for(name, job)
    fetch_s = time.perf_counter() - clock
    graph = open_for(name, job, file)
    contract = job.bag.contracts[job.bag.graphs[name].contract]
    shape = (1, contract.channels, contract.segment)
    segment = np.random.default_rng(0).standard_normal(shape, np.float32)
    first_s, chunk_s = (_seconds_of(graph, segment) for _ in range(2))
    return Opening(fetch_s, graph.load_s, first_s, chunk_s, graph.device, name)


def _seconds_of(graph: Graph, segment: np.ndarray) -> float:
    clock = time.perf_counter()
    graph(segment)
    return time.perf_counter() - clock
