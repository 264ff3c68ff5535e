"""The benchmark that an output holds: its summary, and which of its runs has the tracks to show."""

import json
from dataclasses import dataclass
from typing import Any

from jobs.benchmark.result_tables import Sheet, sheets
from separation.errors import StorageError
from separation.store.objects import join, list_files, read_bytes


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`summary` is None until the benchmark has ended; `run` is the output of its last run so far."""

    benchmark_id: str
    run: str
    summary: dict[str, Any] | None

    @property
    def sheets(self) -> list[Sheet]:
        return sheets(self.summary) if self.summary else []


def find(output: str) -> Benchmark | None:
    """The last benchmark at `output`, which may still run; None if no run of one has begun.

    A run's folder is `runs/<benchmark_id>/<run>`; it counts from its `run.json` on, the first file in it.
    """
    begun = {
        file.uri.removesuffix("/run.json")
        for file in list_files(join(output, "runs"))
        if file.uri.endswith("/run.json")
    }
    if not begun:
        return None
    run = max(begun, key=_order)
    benchmark_id = run.split("/")[-2]
    summary = _read(join(output, f"benchmarks/{benchmark_id}.json"))
    last = (summary or {}).get("last_run")
    return Benchmark(benchmark_id, join(output, last) if last else run, summary)


def _order(uri: str) -> tuple[str, int]:
    """Ids begin with the date; a run's name ends with its number, 0 for the warm-up."""
    _, benchmark_id, run = uri.rsplit("/", 2)
    return benchmark_id, int(run.rpartition("-")[2])


def _read(uri: str) -> dict[str, Any] | None:
    try:
        summary: dict[str, Any] = json.loads(read_bytes(uri))
        sheets(summary)
        return summary
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(uri, f"expected the summary that jobs.benchmark writes: {error!r}") from error
