"""Timing alternatives in alternation, so that other load on the machine falls on all of them alike."""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Result = TypeVar("Result")


def time_interleaved(
    runs: Mapping[str, Callable[[], Result]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, Result]]:
    """Seconds of each of `runs`, by name, in every round, and what each gave last.

    A round before them warms up and is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results: dict[str, Result] = {}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            results[name] = run()
            seconds[name].append(time.perf_counter() - started)
    return {name: each[1:] for name, each in seconds.items()}, results
