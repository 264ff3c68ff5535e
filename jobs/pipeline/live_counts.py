"""How much audio is inferred before any track is finished, counted in one small actor beside the driver."""

import threading
import time
from typing import Any, Protocol

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.pipeline.progress import Live

SEND_S = 1.0  # between two messages of an actor: hundreds report to one
ANSWER_S = 5.0  # that the driver waits for the counts, which are not worth more


class LiveCounts(Protocol):
    """Where a process tells of its work."""

    def add(self, live: Live) -> None:
        """What it has done since it last told."""


class InferredAudio:
    """Tells `live` of inferred audio, at most every `SEND_S`; an actor may infer in several threads."""

    def __init__(self, live: LiveCounts):
        self._live, self._lock = live, threading.Lock()
        self._untold_s, self._told = 0.0, -SEND_S

    def add(self, audio_s: float) -> None:
        """Seconds of tracks, of which all graphs together count a track's length once."""
        now = time.monotonic()
        with self._lock:
            self._untold_s += audio_s
            if now - self._told < SEND_S:
                return
            told_s, self._untold_s, self._told = self._untold_s, 0.0, now
        self._live.add(Live(inferred_s=told_s))


class LiveCounter:
    """`Live` as an actor adds it up. What is done twice, as after a lost node, counts twice."""

    def __init__(self) -> None:
        self._live = Live()

    def add(self, live: Live) -> None:
        self._live = self._live + live

    def get(self) -> Live:
        return self._live


class RemoteCounts:
    """`LiveCounter` as tasks, actors and the driver reach it."""

    def __init__(self, actor: Any):  # Ray's handles have no types of their methods
        self._actor = actor

    def add(self, live: Live) -> None:
        self._actor.add.remote(live)

    def get(self) -> Live:
        """The counts; none if the actor does not answer."""
        try:
            live: Live = ray.get(self._actor.get.remote(), timeout=ANSWER_S)
            return live
        except RayError:
            return Live()


def start() -> RemoteCounts:
    """Starts the actor on the driver's node: it is lost with the driver, or restarts and has forgotten."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor: Any = ray.remote(LiveCounter)
    return RemoteCounts(actor.options(num_cpus=0, scheduling_strategy=here, max_restarts=-1).remote())
