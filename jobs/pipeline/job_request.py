"""A job as a command line asks for it: everything about it that needs no cluster.

Programs that separate on Ray make one before they connect, so that what is missing or contradicts itself
is said at once. `JobRequest.job` then sizes it for the cluster's nodes.
"""

import argparse
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.pipeline import sizing
from jobs.pipeline.job import Job
from jobs.pipeline.sizing import Node, Workload
from separation import options as separation_options
from separation.arguments import (
    absolute,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
    share,
)
from separation.audio import limits
from separation.audio.limits import Limits
from separation.models.bag import Bag
from separation.models.bag_json import read_bag
from separation.models.graph import PROVIDERS, check_precision
from separation.models.graph_files import fetch
from separation.options import Options
from separation.selection import Selecting
from separation.store.disk.private_folder import default_cache
from separation.store.objects import Store

# Fields of JobPlan that an option of the same name sets.
OVERRIDES = (
    "actors",
    "max_actors",
    "cpus_per_actor",
    "gpus_per_actor",
    "threads",
    "turns",
    "batch",
    "chunks_per_section",
    "task_cpus",
)


@dataclass(frozen=True, slots=True)
class JobRequest(Selecting):
    """`nodes` are those that are still to come, or None to size the job for those that are there."""

    output: str
    bag: Bag
    options: Options
    provider: str
    overrides: Mapping[str, Any]  # fields of JobPlan
    nodes: Sequence[Node] | None
    cache: str
    cache_bytes: int
    verify_writes: float
    limits: Limits
    store: Store

    @property
    def engine(self) -> str | None:
        """The provider, unless the plan is to choose it."""
        return None if self.provider == "auto" else self.provider

    @property
    def work(self) -> Workload:
        """What runs on every track; its chunks are float32."""
        chunk_bytes = max(4 * each.channels * each.segment for each in self.contracts.values())
        return Workload(
            graphs=len(self.graphs),
            stems=len(self.stems),
            chunk_bytes=chunk_bytes,
            written=len(self.outputs),
            format=self.options.format,
            precisions=frozenset(self.bag.graphs[graph].precision for graph in self.graphs),
        )

    def job(self, nodes: Sequence[Node]) -> Job:
        """The job on a cluster of `nodes`, under a new run id; raises `PlanError` if it does not fit."""
        return Job(
            run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
            output=self.output,
            bag=self.bag,
            options=self.options,
            plan=sizing.plan_job(self.nodes or nodes, self.work, self.provider, self.overrides),
            cache=self.cache,
            cache_bytes=self.cache_bytes,
            verify_writes=self.verify_writes,
            store=self.store,
            limits=self.limits,
        )

    def for_tracks(self, job: Job, tracks: int) -> Job:
        """The job with sections short enough for `tracks` tracks; the stems keep their bits."""
        if self.overrides.get("chunks_per_section"):
            return job
        grids = tracks * min(len(rule.shifts) for rule in job.grid_rules.values())
        return replace(job, plan=job.plan.for_tracks(len(job.graphs), grids))


def from_arguments(args: argparse.Namespace, store: Store) -> JobRequest:
    """The request, with its models fetched to this machine's cache and checked."""
    options = separation_options.from_arguments(args)
    nodes = sizing.nodes_to_come(args.nodes, args.node_cpus, args.node_gpus, args.node_memory_gb)
    bag = read_bag(args.models, store)
    options.encoding.check_rate(bag.sample_rate)
    request = JobRequest(
        output=absolute(args.output),
        bag=bag,
        options=options,
        provider=args.provider,
        overrides={name: getattr(args, name) for name in OVERRIDES},
        nodes=nodes,
        cache=args.cache,
        cache_bytes=int(args.cache_gb * 1e9),
        verify_writes=args.verify_writes,
        limits=limits.from_arguments(args),
        store=store,
    )
    check_precision(request.provider, request.work.precisions)
    for graph in request.graphs:
        fetch(bag, graph, Path(args.cache) / "models", store)
    return request


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that `from_arguments` reads, but --models and --output."""
    separation_options.add_arguments(parser)
    plan = parser.add_argument_group("plan", "derived from the cluster where not given")
    plan.add_argument(
        "--provider", choices=PROVIDERS, default="auto", help="what runs the models (default: %(default)s)"
    )
    plan.add_argument("--actors", type=positive_int, metavar="N", help="actors per graph, on all nodes")
    plan.add_argument(
        "--max-actors", type=positive_int, metavar="N", help="how many actors per graph a pool may grow to"
    )
    plan.add_argument("--cpus-per-actor", type=non_negative_float, metavar="N", help="CPUs that Ray reserves")
    plan.add_argument("--gpus-per-actor", type=non_negative_float, metavar="N", help="GPUs that Ray reserves")
    plan.add_argument("--threads", type=positive_int, metavar="N", help="CPU threads of an ONNX session")
    plan.add_argument(
        "--turns",
        type=non_negative_int,
        metavar="N",
        help="how many inferences may run at once on a node (0: any number)",
    )
    plan.add_argument("--batch", type=positive_int, metavar="N", help="chunks per inference")
    plan.add_argument(
        "--chunks-per-section",
        type=positive_int,
        metavar="N",
        help="chunks per block of Ray, however few the tracks are",
    )
    plan.add_argument(
        "--task-cpus", type=positive_float, metavar="N", help="CPUs of a task that cuts or stitches"
    )
    plan.add_argument(
        "--nodes", type=positive_int, metavar="N", help="plan for N nodes, and wait for those to come"
    )
    plan.add_argument("--node-cpus", type=non_negative_float, metavar="N", help="CPUs of each of the --nodes")
    plan.add_argument(
        "--node-gpus",
        type=non_negative_float,
        default=0.0,
        metavar="N",
        help="GPUs of each of the --nodes (default: %(default)g)",
    )
    plan.add_argument(
        "--node-memory-gb", type=positive_float, metavar="GB", help="memory of each of the --nodes"
    )
    plan.add_argument(
        "--cache",
        default=str(default_cache()),
        metavar="DIR",
        help="folder on each node for models and sources (default: %(default)s)",
    )
    plan.add_argument(
        "--verify-writes",
        type=share,
        default=0.01,
        metavar="RATE",
        help="share of the stems to read back after writing, 0 to 1 (default: %(default)g)",
    )
    plan.add_argument(
        "--cache-gb",
        type=non_negative_float,
        default=10.0,
        metavar="GB",
        help="size of a node's cache of sources (default: %(default)g)",
    )
    limits.add_arguments(parser)
