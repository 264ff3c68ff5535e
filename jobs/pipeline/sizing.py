"""Sizes a job from its cluster: actors per specialist, CPUs and GPUs per actor, chunks per batch and section.

Every number follows from what Ray reports of the nodes, and an option can set it instead. Each specialist
has one pool of actors; all pools run at the same time, since a section goes through one after the other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from separation.console import counted, plural
from separation.contract import CHANNELS, SEGMENT
from separation.errors import PlanError, UsageError
from separation.models.specialist import ON_GPU

CHUNK_BYTES = CHANNELS * SEGMENT * 4  # float32: 2.75 MB
STORE_PER_MIX = 32  # bytes of object store for each byte of a section's mix, or it spills (measured)
MOST_CHUNKS = 64  # of a section, 6.2 minutes: most tracks are one section and need no parts
TASK_CPUS = 0.3  # of a cut or stitch task; at 0.4 or more, four pools on 2 CPUs hang (measured)
# Of a probe, and of Ray's task that gives each row its block. Ray Data reserves half of the CPUs for its
# operators, in equal parts, and the pools have the rest: at 0.3 a cluster of 4 CPUs ran one probe at a time,
# at 0.05 about one per CPU (measured).
PROBE_CPUS = 0.05
RAY_TASK_CPUS = 1.0  # left free on every node for all of its tasks
GPU_ACTOR_CPUS = 0.25  # an actor on a GPU only feeds it
GPU_BATCH = 2  # chunks: about 1 GB each at fp32, for four sessions in an L4's 24 GB (estimated, not measured)
MOST_THREADS = 8  # of a session: beyond that, a second actor gains more
STORE_OF_MEMORY = 0.25  # of a node's memory: Ray's object store takes 0.3 of what the system leaves free


@dataclass(frozen=True, slots=True)
class Node:
    """What a node offers to the job; `store_bytes` is its share of Ray's object store."""

    cpus: float
    gpus: float
    store_bytes: float


def nodes_to_come(
    count: int | None, cpus: float | None, gpus: float, memory_gb: float | None
) -> list[Node] | None:
    """`count` equal nodes, as a cluster that still grows will have them; None if not asked for."""
    if count is None:
        if cpus is None and memory_gb is None and not gpus:
            return None
        raise UsageError("--node-cpus, --node-gpus and --node-memory-gb describe the nodes of --nodes N")
    if cpus is None or memory_gb is None:
        raise UsageError("--nodes needs --node-cpus and --node-memory-gb: what each of the nodes has")
    if count < 1 or cpus < 0 or gpus < 0 or memory_gb <= 0:
        raise UsageError(f"{count} nodes of {cpus:g} CPUs, {gpus:g} GPUs and {memory_gb:g} GB are impossible")
    return [Node(cpus, gpus, STORE_OF_MEMORY * memory_gb * 1e9)] * count


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The numbers of one job; its fields are the keys of `plan` in run.json and, mostly, options.

    `actors` and `max_actors` count one specialist's pool over the whole cluster.
    """

    provider: str
    actors: int
    max_actors: int
    cpus_per_actor: float
    gpus_per_actor: float
    threads: int  # of a session
    turns: int  # slots of a node: inferences at once; 0 leaves it to the device
    batch: int  # chunks per inference
    chunks_per_section: int
    store_chunks: int  # the longest section that the object stores hold without spilling
    task_cpus: float = TASK_CPUS

    def describe(self) -> list[str]:
        device = f"{self.gpus_per_actor:g} GPU" if self.gpus_per_actor else counted(self.threads, "thread")
        most = f" to {self.max_actors}" if self.max_actors > self.actors else ""
        return [
            f"pools: {self.actors}{most} actor{plural(self.max_actors)} per specialist, each {device} and "
            f"{self.cpus_per_actor:g} CPU, on {self.provider}",
            f"inference: {counted(self.batch, 'chunk')} per batch, "
            + (
                f"at most {self.turns} at once on a node"
                if self.turns
                else "as many at once as there are actors"
            ),
            f"sections: up to {counted(self.chunks_per_section, 'chunk')}, "
            f"{self.chunks_per_section * CHUNK_BYTES / 2**20:.0f} MiB of mix"
            + (
                f"; those over {self.store_chunks} chunks will spill from the object store to disk"
                if self.chunks_per_section > self.store_chunks
                else ""
            ),
        ]


def plan_job(nodes: Sequence[Node], specialists: int, provider: str, overrides: Mapping[str, Any]) -> JobPlan:
    """Sizes `specialists` pools on `nodes`; raises `PlanError` with the numbers if they do not fit.

    `overrides` are fields of `JobPlan`; None values leave the number that follows from the nodes.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    nodes = [node for node in nodes if node.cpus or node.gpus]  # a head may run no work
    if not nodes:
        raise PlanError("the cluster has no node with a CPU or a GPU for work")
    gpus = sum(node.gpus for node in nodes)
    if provider == "auto":
        provider = "cuda" if gpus else "cpu"
    if provider in ON_GPU and not gpus:
        raise PlanError(f"--provider {provider} needs a GPU; the cluster's {len(nodes)} nodes have none")
    size = _on_gpus if provider in ON_GPU else _on_cpus
    most = _store_chunks(nodes)
    plan = replace(
        size(nodes, specialists, given.get("threads")),
        provider=provider,
        store_chunks=most,
        chunks_per_section=min(MOST_CHUNKS, most),
    )
    plan = replace(plan, **{"max_actors": given.get("actors", plan.max_actors), **given})
    check(plan, nodes, specialists)
    return plan


def _on_cpus(nodes: Sequence[Node], specialists: int, threads: int | None) -> JobPlan:
    """Every node holds the same actors of each pool, which share its slots.

    Many sessions of few threads rather than few of many: a thread that another program displaces delays
    only its own session (docs/decisions.md).
    """
    smallest = min(node.cpus for node in nodes)
    cores = max(1, int(smallest))
    threads = threads or min(MOST_THREADS, max(1, cores // max(1, specialists)))
    slots = max(1, cores // threads)
    per_node = max(1, math.ceil(slots / specialists))  # actors of each pool
    left = smallest - max(RAY_TASK_CPUS, smallest / 8)
    cpus = min(float(threads), math.floor(100 * left / (specialists * per_node)) / 100)
    actors = per_node * len(nodes)
    return JobPlan("cpu", actors, actors, max(cpus, 0.0), 0.0, threads, slots, 1, 1, 1)


def _on_gpus(nodes: Sequence[Node], specialists: int, threads: int | None) -> JobPlan:
    """One actor of each specialist on every GPU."""
    gpus = int(sum(node.gpus for node in nodes))
    share = math.floor(100 / specialists) / 100
    return JobPlan("cuda", gpus, gpus, GPU_ACTOR_CPUS, share, 1, 0, GPU_BATCH, 1, 1)


def _store_chunks(nodes: Sequence[Node]) -> int:
    """The longest section, in chunks, that the smallest object store holds without spilling."""
    store = min(node.store_bytes for node in nodes)
    chunks = int(store / (STORE_PER_MIX * CHUNK_BYTES))
    if not chunks:
        raise PlanError(
            f"a section of one chunk needs {STORE_PER_MIX * CHUNK_BYTES / 1e6:.0f} MB of object store on "
            f"every node ({STORE_PER_MIX} times its mix); the smallest has {store / 1e6:.0f} MB"
        )
    return chunks


def check(plan: JobPlan, nodes: Sequence[Node], specialists: int) -> None:
    """Refuses a plan whose smallest pools and tasks would wait for each other forever."""
    if plan.actors < 1 or plan.max_actors < plan.actors:
        raise PlanError(f"a pool cannot have {plan.actors} to {plan.max_actors} actors")
    for name, each, have in (
        ("GPUs", plan.gpus_per_actor, sum(node.gpus for node in nodes)),
        ("CPUs", plan.cpus_per_actor, sum(node.cpus for node in nodes)),
    ):
        tasks = RAY_TASK_CPUS if name == "CPUs" else 0.0
        need = specialists * plan.actors * each + tasks
        if need > have + 1e-6:
            beside = f" and {tasks:g} for the tasks beside them" if tasks else ""
            raise PlanError(
                f"{specialists} pools of {plan.actors} actors at {each:g} {name}{beside} need {need:g}; "
                f"the cluster has {have:g} {name}"
            )
    if plan.cpus_per_actor == plan.task_cpus:
        raise PlanError(
            f"actors and tasks of {plan.task_cpus:g} CPU each would be fused by Ray into one process, where "
            "decoding stops inference: choose different numbers"
        )
    if plan.cpus_per_actor <= 0 and not plan.gpus_per_actor:
        raise PlanError(
            f"{sum(node.cpus for node in nodes):g} CPUs leave none for {specialists} pools beside the "
            f"{RAY_TASK_CPUS:g} that other tasks need; a node needs 2"
        )
