"""Timing alternatives in alternation, so that other load on the machine falls on all of them alike."""

import time
from collections.abc import Callable


def time_interleaved(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each of `runs`, by name, in every round; a round before them warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: each[1:] for name, each in seconds.items()}
