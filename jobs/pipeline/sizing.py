"""Sizes a job from its cluster: actors per graph, CPUs and GPUs per actor, chunks per batch and section.

Every number follows from what Ray reports of the nodes, and an option can set it instead. Each graph
has one pool of actors; all pools run at the same time, since a section goes through one after the other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs.pipeline.cost.encoding import encoder_cpus
from separation.console import counted, plural
from separation.errors import PlanError, UsageError
from separation.models.graph import ON_GPU, check_precision
from separation.options import Format

# Bytes of object store for each byte that the pools' actors hold, or it spills: four pools of one actor
# hold 23 times a section's mix in what they take and give, and needed 32 times it (measured).
STORE_PER_HELD = 32 / 23
MOST_CHUNKS = 64  # of a section, 6.2 minutes: most tracks are one section and need no parts
FEWEST_CHUNKS = 4  # of a section in a small catalogue: neighbours then share a twelfth of their samples
# In all, for each actor: filling and emptying the pools then takes about a tenth of the time.
SECTIONS_PER_ACTOR = 10
TASK_CPUS = 0.3  # of a cut or stitch task; at 0.4 or more, four pools on 2 CPUs hang (measured)
# Of a probe, and of Ray's task that gives each row its block. Ray Data reserves half of the CPUs for its
# operators, in equal parts, and the pools have the rest: at 0.3 a cluster of 4 CPUs ran one probe at a time,
# at 0.05 about one per CPU (measured). With eight pools on 2 CPUs, 0.03 still lets two run.
PROBE_CPUS = 0.03
# At once on a node: as many as it has CPUs, within these. A probe is a process, of 1.7 CPU-seconds to start
# and 0.2 GB, and a source that does not answer holds one up. PROBE_CPUS alone lets 2 CPUs start 33 (seen).
FEWEST_PROBES, MOST_PROBES = 4, 8
RAY_TASK_CPUS = 1.0  # left free on every node for all of its tasks
GPU_ACTOR_CPUS = 0.25  # an actor on a GPU only feeds it
# Chunks of an inference on a GPU. One is 309 GFLOP, at least 40 ms of an L4; a second one takes 0.5 GB more
# in each session, and a track of an odd number pays for one of silence. A large GPU in float16 may want more:
# not measured.
GPU_BATCH = 1
MOST_THREADS = 8  # of a session: beyond that, a second actor gains more
SESSION_BYTES = 1.1e9  # of memory, full-size htdemucs in float32 on one thread (measured)
STORE_OF_MEMORY = 0.25  # of a node's memory: Ray's object store takes 0.3 of what the system leaves free
SESSIONS_OF_MEMORY = 0.5  # of a node's memory


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
class Workload:
    """What a job runs on every track: `graphs` that infer `stems`, whose longest mix is `chunk_bytes`.

    `written` stems are encoded as `format`; `precisions` are those of the graphs.
    """

    graphs: int
    stems: int
    chunk_bytes: int
    written: int = 1
    format: Format = "wav"
    precisions: frozenset[str] = frozenset(["fp32"])


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The numbers of one job; its fields are the keys of `plan` in run.json and, mostly, options.

    `actors` and `max_actors` count one graph's pool over the whole cluster.
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
    chunk_bytes: int  # of a chunk's mix; the largest, where graphs take segments of different lengths
    task_cpus: float = TASK_CPUS
    probes: int = FEWEST_PROBES  # at once on the cluster
    sections_per_track: int = 1  # at least, of each grid, where that leaves FEWEST_CHUNKS in each
    encoder_cpus: float = 0.0  # with which encoding keeps up with a GPU, if it is an L4; 0 on CPUs
    spare_cpus: float = 0.0  # that the cluster has for it, for each of its GPUs

    @property
    def rows_per_call(self) -> int:
        """Chunks that an actor on a GPU gets at once: few, as Ray joins blocks of fewer; whole batches."""
        fewest = min(FEWEST_CHUNKS, self.chunks_per_section)
        return self.batch * math.ceil(fewest / self.batch)

    def section_chunks(self, grid: int) -> int:
        """Chunks of a section, but for the last, of a grid of `grid` chunks: whole batches."""
        chunks = max(FEWEST_CHUNKS, math.ceil(grid / self.sections_per_track))
        return min(self.batch * math.ceil(chunks / self.batch), self.chunks_per_section)

    def for_tracks(self, graphs: int, tracks: int) -> "JobPlan":
        """The plan with sections so short that `tracks` tracks (or grids) keep the pools of `graphs` busy.

        A section goes through one pool after the other: twelve whole tracks would leave four pools idle for
        a fifth of the time.
        """
        wanted = SECTIONS_PER_ACTOR * graphs * self.max_actors
        return replace(self, sections_per_track=math.ceil(wanted / max(1, tracks)))

    def describe(self) -> list[str]:
        device = f"{self.gpus_per_actor:g} GPU" if self.gpus_per_actor else counted(self.threads, "thread")
        most = f" to {self.max_actors}" if self.max_actors > self.actors else ""
        return [
            f"pools: {self.actors}{most} actor{plural(self.max_actors)} per graph, each {device} and "
            f"{self.cpus_per_actor:g} CPU, on {self.provider}",
            f"inference: {counted(self.batch, 'chunk')} per batch, "
            + (
                f"at most {self.turns} at once on a node"
                if self.turns
                else "as many at once as there are actors"
            ),
            f"sections: up to {counted(self.chunks_per_section, 'chunk')}, "
            f"{self.chunks_per_section * self.chunk_bytes / 2**20:.0f} MiB of mix"
            + (
                f"; those over {self.store_chunks} chunks will spill from the object store to disk"
                if self.chunks_per_section > self.store_chunks
                else ""
            )
            + (
                f"; a track has at least {self.sections_per_track}, of {FEWEST_CHUNKS} chunks or more, since "
                "few tracks are left"
                if self.sections_per_track > 1
                else ""
            ),
            *self._encoding(),
        ]

    def _encoding(self) -> list[str]:
        if not self.encoder_cpus:
            return []
        need = (
            f"encoding: needs about {self.encoder_cpus:.2g} CPUs per GPU to keep up with an L4 (estimated), "
            f"decoding apart; {self.spare_cpus:.2g} are there"
        )
        if self.spare_cpus >= self.encoder_cpus:
            return [need]
        share = self.spare_cpus / self.encoder_cpus
        return [f"{need}, so the GPUs will be busy {share:.0%} of the time: take nodes of more CPUs"]


def plan_job(nodes: Sequence[Node], work: Workload, provider: str, overrides: Mapping[str, Any]) -> JobPlan:
    """Sizes the pools for `work` on `nodes`; raises `PlanError` with the numbers if they do not fit.

    `overrides` are fields of `JobPlan`, of which None leaves the number that follows from the nodes.
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
    check_precision(provider, work.precisions)
    size = _on_gpus if provider in ON_GPU else _on_cpus
    plan = replace(
        size(nodes, work.graphs, given.get("threads")), provider=provider, chunk_bytes=work.chunk_bytes
    )
    plan = replace(plan, **{"max_actors": given.get("actors", plan.max_actors), **given})
    probes = sum(min(max(FEWEST_PROBES, int(node.cpus)), MOST_PROBES) for node in nodes)
    plan = replace(plan, probes=probes * math.ceil(plan.max_actors / max(1, plan.actors)))  # nodes may come
    most = _store_chunks([node for node in nodes if node.gpus or not plan.gpus_per_actor], work, plan.actors)
    plan = replace(plan, store_chunks=most)
    if provider in ON_GPU:
        spare = sum(node.cpus for node in nodes) - work.graphs * plan.actors * plan.cpus_per_actor
        encoders = encoder_cpus(work.format, work.written, work.graphs, work.precisions == {"fp16"})
        plan = replace(plan, encoder_cpus=encoders, spare_cpus=round(spare / gpus, 2))
    if "chunks_per_section" not in given:
        plan = replace(plan, chunks_per_section=_whole_batches(min(MOST_CHUNKS, most), plan.batch))
    check(plan, nodes, work.graphs)
    return plan


def _on_cpus(nodes: Sequence[Node], graphs: int, threads: int | None) -> JobPlan:
    """Every node holds the same actors of each pool, which share its slots.

    Many sessions of few threads rather than few of many: a thread that another program displaces delays
    only its own session (docs/decisions.md). The memory bounds how many; its size follows from the store's.
    """
    smallest = min(node.cpus for node in nodes)
    cores = max(1, int(smallest))
    memory = min(node.store_bytes for node in nodes) / STORE_OF_MEMORY
    sessions = max(1, int(SESSIONS_OF_MEMORY * memory / SESSION_BYTES / graphs)) * graphs  # of a node
    threads = threads or _threads(cores, sessions)
    slots = max(1, cores // threads)
    per_node = max(1, math.ceil(slots / graphs))  # actors of each pool
    cpus = min(float(threads), _actor_cpus(smallest, graphs * per_node))
    actors = per_node * len(nodes)
    return JobPlan("cpu", actors, actors, cpus, 0.0, threads, slots, 1, 1, 1, 1)


def _threads(cores: int, sessions: int) -> int:
    """The fewest threads with which at most `sessions` sessions fill the most cores."""
    most = min(MOST_THREADS, cores)

    def filled(threads: int) -> int:
        at_once = cores // threads
        return threads * (at_once if threads == most else min(at_once, sessions))

    return max(range(1, most + 1), key=lambda threads: (filled(threads), -threads))


def _on_gpus(nodes: Sequence[Node], graphs: int, threads: int | None) -> JobPlan:
    """One actor of each graph on every GPU; of a lone graph two, so that one computes while one is fed."""
    with_gpu = [node for node in nodes if node.gpus]
    per_gpu = 2 if graphs == 1 else 1
    actors = per_gpu * int(sum(node.gpus for node in with_gpu))
    share = math.floor(10_000 / (graphs * per_gpu)) / 10_000  # Ray counts in these
    cpus = min(_actor_cpus(node.cpus, graphs * per_gpu * node.gpus) for node in with_gpu)
    return JobPlan("cuda", actors, actors, min(GPU_ACTOR_CPUS, cpus), share, 1, 0, GPU_BATCH, 1, 1, 1)


def _actor_cpus(node_cpus: float, actors: float) -> float:
    """The CPUs of each of a node's `actors` beside its tasks; 0 if these leave none."""
    left = node_cpus - max(RAY_TASK_CPUS, node_cpus / 8)
    cpus = max(0, math.floor(100 * left / actors)) / 100
    return cpus - 0.01 if cpus == TASK_CPUS else cpus  # or `check` refuses it


def _store_chunks(nodes: Sequence[Node], work: Workload, actors: int) -> int:
    """The longest section, in chunks, that the smallest object store of `nodes` holds without spilling.

    Each of the `actors` of every pool, which these nodes share, holds what it takes and what it gives. The
    stems are the graphs' in equal parts here, and the last graph drops the mix.
    """
    held = 2 * work.graphs + work.stems * work.graphs - 1
    per_mix = STORE_PER_HELD * held * math.ceil(actors / len(nodes))
    store = min(node.store_bytes for node in nodes)
    chunks = int(store / (per_mix * work.chunk_bytes))
    if not chunks:
        raise PlanError(
            f"a section of one chunk needs {per_mix * work.chunk_bytes / 1e6:.0f} MB of object store on "
            f"every node ({per_mix:.0f} times its mix); the smallest has {store / 1e6:.0f} MB"
        )
    return chunks


def _whole_batches(chunks: int, batch: int) -> int:
    """`chunks` without the rest that would end each section in a smaller batch."""
    return max(1, chunks - chunks % batch)


def check(plan: JobPlan, nodes: Sequence[Node], graphs: int) -> None:
    """Refuses a plan whose smallest pools and tasks would wait for each other forever."""
    if plan.actors < 1 or plan.max_actors < plan.actors:
        raise PlanError(f"a pool cannot have {plan.actors} to {plan.max_actors} actors")
    for name, each, have in (
        ("GPUs", plan.gpus_per_actor, sum(node.gpus for node in nodes)),
        ("CPUs", plan.cpus_per_actor, sum(node.cpus for node in nodes)),
    ):
        tasks = RAY_TASK_CPUS if name == "CPUs" else 0.0
        need = graphs * plan.actors * each + tasks
        if need > have + 1e-6:
            beside = f" and {tasks:g} for the tasks beside them" if tasks else ""
            raise PlanError(
                f"{graphs} pools of {plan.actors} actors at {each:g} {name}{beside} need {need:g}; "
                f"the cluster has {have:g} {name}"
            )
    if plan.cpus_per_actor == plan.task_cpus:
        raise PlanError(
            f"actors and tasks of {plan.task_cpus:g} CPU each would be fused by Ray into one process, where "
            "decoding stops inference: choose different numbers"
        )
    if plan.cpus_per_actor <= 0 and not plan.gpus_per_actor:
        raise PlanError(
            f"{sum(node.cpus for node in nodes):g} CPUs leave none for {graphs} pools beside the "
            f"{RAY_TASK_CPUS:g} that other tasks need; a node needs 2"
        )
