"""The benchmark that an output holds: its summary, and which of its runs has the tracks to show."""

from dataclasses import dataclass

from jobs.pipeline.cost.summary import FOLDER, Summary, parse
from jobs.pipeline.cost.summary_tables import TextTable, summary_tables
from separation.errors import StorageError
from separation.store.filesystems import join
from separation.store.objects import Store


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`summary` is None until the benchmark has ended; `run` is the output of its last run so far."""

    benchmark_id: str
    run: str
    summary: Summary | None

    @property
    def tables(self) -> list[TextTable]:
        return summary_tables(self.summary) if self.summary else []


def find(output: str, store: Store) -> Benchmark | None:
    """The last benchmark at `output`, which may still be running; None if no run of one has begun.

    A run's folder is `runs/<benchmark_id>/<run>`; it counts from its `run.json` on, the first file in it.
    """
    begun = {
        file.uri.removesuffix("/run.json")
        for file in store.list_files(join(output, "runs"))
        if file.uri.endswith("/run.json")
    }
    if not begun:
        return None
    run = max(begun, key=_order)
    benchmark_id = run.split("/")[-2]
    summary = _read(join(output, f"{FOLDER}/{benchmark_id}.json"), store)
    if summary and summary.last_run:
        if {"", ".", ".."} & set(summary.last_run.split("/")):
            raise StorageError(output, f"its last run is {summary.last_run!r}, expected a folder below it")
        run = join(output, summary.last_run)
    return Benchmark(benchmark_id, run, summary)


def _order(uri: str) -> tuple[str, int]:
    """Ids begin with the date; a run's name ends with its number, 0 for the warm-up."""
    _, benchmark_id, run = uri.rsplit("/", 2)
    return benchmark_id, int(run.rpartition("-")[2])


def _read(uri: str, store: Store) -> Summary | None:
    try:
        return parse(store.read_bytes(uri))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise StorageError(uri, f"expected the summary that jobs.benchmark writes: {error}") from error
