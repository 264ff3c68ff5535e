"""What a run's processes tell of their work, in one small actor beside the driver.

`attempts` says what is begun and ended for, `live_counts` what is added for.
"""

from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from jobs.pipeline.attempts import Attempts
from jobs.pipeline.live_counts import LiveCounter
from jobs.pipeline.progress import Live

ANSWER_S = 5.0  # that the driver waits for live counts, which are not worth more


class Ledger:
    """The actor: what is begun and not ended, and what is done."""

    def __init__(self) -> None:
        self._attempts, self._live = Attempts(living_nodes), LiveCounter()

    def begin(self, attempt: str, work: list[str], node: str) -> list[int]:
        return self._attempts.begin(attempt, work, node)

    def end(self, attempt: str, work: list[str]) -> None:
        self._attempts.end(attempt, work)

    def add(self, live: Live) -> None:
        self._live.add(live)

    def live(self) -> Live:
        return self._live.live


class RemoteLedger:
    """`Ledger` as tasks, actors and the driver reach it: an `AttemptLog` and `LiveCounts`."""

    def __init__(self, actor: Any):  # Ray's handles have no types of their methods
        self._actor = actor

    def begin(self, attempt: str, work: list[str]) -> list[int]:
        node = ray.get_runtime_context().get_node_id()
        deaths: list[int] = ray.get(self._actor.begin.remote(attempt, work, node))
        return deaths

    def end(self, attempt: str, work: list[str]) -> None:
        self._actor.end.remote(attempt, work)

    def add(self, live: Live) -> None:
        self._actor.add.remote(live)

    def live(self) -> Live:
        """The counts; none if the actor does not answer."""
        try:
            found: Live = ray.get(self._actor.live.remote(), timeout=ANSWER_S)
        except ray.exceptions.RayError:
            return Live()
        return found


def living_nodes() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def start() -> RemoteLedger:
    """Starts the actor on the driver's node: it is lost with the driver, or restarts and has forgotten."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    forever = {"max_restarts": -1, "max_task_retries": -1}
    actor: Any = ray.remote(Ledger)
    return RemoteLedger(actor.options(num_cpus=0, scheduling_strategy=here, **forever).remote())
