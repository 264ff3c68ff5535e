"""How long a catalogue takes from the first probe to the last stem, by a model of the pools.

A section goes through the pools one after the other. In each it waits for an actor, which infers its chunks
on a place, a CPU node or a GPU; all inferences of a place share its capacity equally. The model knows what
Ray takes per task and what parts cost. It does not know spilling, networks that fill, or nodes of
different speeds; `scripts/simulate.py makespan` runs the same plan on Ray.
"""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush

from jobs.pipeline.sizing import JobPlan

TASK_CPU_S = 0.013  # of a task of Ray Data (measured)
TASK_S = 1 / 120  # from one start of a task to the next, of all stages together (measured)
DECODE_X_REALTIME = 200.0  # of one core (assumed)
STORE_BYTES_PER_S = 250e6  # of one task that reads or writes parts and stems (assumed)
SAMPLE_BYTES = 8  # of a part: two channels of float32; a stem's file of 16 bits has half of it


@dataclass(frozen=True, slots=True)
class Cluster:
    """`places` equal nodes, or GPUs, each of which runs `at_once` inferences at full speed.

    A task takes `task_s` of them: on a GPU node none, since other cores run it.
    """

    places: int
    at_once: int
    task_s: float

    @classmethod
    def of(cls, plan: JobPlan, nodes: int, gpus: int) -> "Cluster":
        return cls(gpus, 1, 0.0) if plan.gpus_per_actor else cls(nodes, plan.turns, TASK_CPU_S)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`tracks` tracks, each of `chunks` chunks of `stride_s` seconds; a graph takes `chunk_s` for a chunk.

    `stems` come from `graphs`. `chunk_s` is the time at full speed, with the threads of the plan.
    """

    tracks: int
    chunks: int
    stride_s: float
    graphs: int
    stems: int
    chunk_s: float
    sample_rate: int = 44_100

    @property
    def track_s(self) -> float:
        return self.chunks * self.stride_s

    def ideal_s(self, cluster: Cluster) -> float:
        """Work over cores, or over GPUs: nobody ever waits, and nothing costs but inference."""
        work = self.tracks * self.chunks * self.graphs * self.chunk_s
        return work / (cluster.places * cluster.at_once)

    def store_s(self, chunks: float) -> float:
        """To read or write the parts of a section of `chunks` chunks."""
        samples = chunks * self.stride_s * self.sample_rate
        return self.stems * samples * SAMPLE_BYTES / STORE_BYTES_PER_S


@dataclass(slots=True)
class Section:
    track: int
    chunks: int
    left_s: float = 0.0  # of its inference in the present pool, at full speed


@dataclass(slots=True)
class Place:
    running: list[tuple[Section, int]] = field(default_factory=list)  # and the pool


def sections_of(catalogue: Catalogue, plan: JobPlan) -> list[Section]:
    size = plan.section_chunks(catalogue.chunks)
    return [
        Section(track, min(size, catalogue.chunks - first))
        for track in range(catalogue.tracks)
        for first in range(0, catalogue.chunks, size)
    ]


def makespan(catalogue: Catalogue, plan: JobPlan, cluster: Cluster, packed: bool = False) -> float:
    """Seconds from the first probe to the last stem's file.

    The actors of each pool are spread over the places; or `packed`: one place after the other is filled.
    """
    sections = sections_of(catalogue, plan)
    left = [len(sections) // catalogue.tracks] * catalogue.tracks  # sections of each track
    places = [Place() for _ in range(cluster.places)]
    actors, pools = plan.actors, catalogue.graphs
    idle = [
        [
            (pool * actors + actor) * cluster.places // (pools * actors) if packed else actor % cluster.places
            for actor in range(actors)
        ]
        for pool in range(pools)
    ]
    queues: list[deque[Section]] = [deque() for _ in range(catalogue.graphs)]
    arrivals: list[tuple[float, int, int, Section]] = []  # time, order, pool, section
    for order, section in enumerate(sections):
        probed = (1 + section.track // (cluster.places * cluster.at_once)) * catalogue.track_s
        decoded = section.chunks * catalogue.stride_s
        ready = (probed + decoded) / DECODE_X_REALTIME + (order + 1) * TASK_S
        heappush(arrivals, (ready, order, 0, section))
    now, order, end = 0.0, len(sections), 0.0

    def rate(place: Place) -> float:
        return min(1.0, cluster.at_once / len(place.running))

    while arrivals or any(place.running for place in places):
        events = [now + section.left_s / rate(place) for place in places for section, _ in place.running] + [
            arrivals[0][0] if arrivals else float("inf")
        ]
        step, now = min(events) - now, min(events)
        for place in places:
            done = step * rate(place) if place.running else 0.0
            for section, _ in place.running:
                section.left_s -= done
        for number, place in enumerate(places):
            for section, pool in [each for each in place.running if each[0].left_s <= 1e-9]:
                place.running.remove((section, pool))
                idle[pool].append(number)
                order += 1
                heappush(arrivals, (now + TASK_S, order, pool + 1, section))
        while arrivals and arrivals[0][0] <= now:
            _, _, pool, section = heappop(arrivals)
            if pool < catalogue.graphs:
                queues[pool].append(section)
            else:
                end = max(end, now + _stitch(catalogue, section, left))
        for pool, queue in enumerate(queues):
            while queue and idle[pool]:
                number = min(idle[pool], key=lambda each: (len(places[each].running), each))
                idle[pool].remove(number)
                section = queue.popleft()
                section.left_s = section.chunks * catalogue.chunk_s + cluster.task_s
                places[number].running.append((section, pool))
    return end


def _stitch(catalogue: Catalogue, section: Section, left: list[int]) -> float:
    """Seconds until its stems or, of a longer track, its parts are written; the last section finishes it."""
    left[section.track] -= 1
    if section.chunks == catalogue.chunks:
        return TASK_CPU_S + catalogue.store_s(section.chunks) / 2
    parts = TASK_CPU_S + catalogue.store_s(section.chunks)
    if left[section.track]:
        return parts
    return parts + TASK_CPU_S + 1.5 * catalogue.store_s(catalogue.chunks)
