"""python -m jobs.separate: a catalogue of tracks -> stems and tables, on a Ray cluster.

Exit codes: 0, every track is done; 1, the job ran to its end and some tracks are errors; 2, it
refused to start or had to stop, and can be run again.
"""

import argparse
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import ray
from ray.exceptions import RayError, RayTaskError

from jobs.pipeline import catalogue, dataset, sizing
from jobs.pipeline.arguments import place, uri
from jobs.pipeline.catalogue import Catalogue
from jobs.pipeline.console import LineConsole
from jobs.pipeline.cost import estimate
from jobs.pipeline.driver import run
from jobs.pipeline.job import Job
from jobs.pipeline.output import run_record, tables
from jobs.pipeline.output.lease import Lease
from separation import options as separation_options
from separation.audio import limits
from separation.errors import SeparationError
from separation.models.bag import fetch, read_bag
from separation.models.specialist import PROVIDERS

DONE, SOME_ERRORS, STOPPED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    console = LineConsole()
    try:
        return separate(args, console)
    except (SeparationError, RayError) as error:
        console.print(f"stopped: {cause(error)}")
        return STOPPED
    except Exception as error:  # Python's own exit code would be 1, which says that the job ran to its end
        console.print_failure(error)
        return STOPPED


def separate(args: argparse.Namespace, console: LineConsole) -> int:
    ray.init(logging_level="warning", log_to_driver=False)
    job = make_job(args)
    for line in job.plan.describe():
        console.print(line)
    found = catalogue.read_catalogue(args.input)
    if args.dry_run:
        work = find_work(found, args, job)
        console.print(work.describe())
        for line in estimate.of_catalogue(job, work.pending.num_rows, args.benchmark):
            console.print(line)
        return DONE
    with Lease(job.output, job.run_id, console.print) as lease:
        return work_through(found, args, job, lease, console)


def work_through(
    found: Catalogue, args: argparse.Namespace, job: Job, lease: Lease, console: LineConsole
) -> int:
    work = find_work(found, args, job)
    console.print(work.describe())
    tables.forget(job.output, work.again)
    tables.drop_uncommitted(job.output)
    run_record.write(job, vars(args), dataset.cluster_nodes(), work.total)
    failed = work.failed
    if work.pending.num_rows:
        counts = run(work.pending, job, console, check=lease.check)
        failed += counts.failed
        # The nodes again: those of a cluster that grows have come meanwhile.
        run_record.write(job, vars(args), dataset.cluster_nodes(), work.total, asdict(counts))
    if failed:
        _show_errors(job.output, console)
    console.print(f"stems and tables: {job.output}")
    return SOME_ERRORS if failed else DONE


def make_job(args: argparse.Namespace) -> Job:
    """Everything that can be known before the catalogue is read; raises what does not fit."""
    options = separation_options.from_arguments(args)
    bag = read_bag(args.models)
    for stem in options.specialists(bag.stems):
        fetch(bag, stem, Path(args.cache) / "models")
    overrides = {name: getattr(args, name) for name in OVERRIDES}
    specialists = len(options.specialists(bag.stems))
    nodes = sizing.nodes_to_come(args.nodes, args.node_cpus, args.node_gpus, args.node_memory_gb)
    return Job(
        run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        output=place(args.output),
        bag=bag,
        options=options,
        plan=sizing.derive(nodes or dataset.cluster_nodes(), specialists, args.provider, overrides),
        cache=args.cache,
        cache_bytes=int(args.cache_gb * 1e9),
        verify_writes=args.verify_writes,
        limits=limits.from_arguments(args),
    )


@dataclass(frozen=True, slots=True)
class Work:
    total: int
    passed_over: int
    done: int
    failed: int  # errors of earlier runs, which stay
    again: pa.ChunkedArray  # track ids to do once more, whose rows must go first
    pending: pa.Table

    def describe(self) -> str:
        over = f"; {self.passed_over} files without an audio name passed over" if self.passed_over else ""
        return (
            f"catalogue: {self.total} tracks, {self.done} done, {self.failed} failed, "
            f"{self.pending.num_rows} left{over}"
        )


def find_work(found: Catalogue, args: argparse.Namespace, job: Job) -> Work:
    """The catalogue minus what the tracks table holds; the stems are not listed."""
    known = tables.read_table(job.output, "tracks", ["track_id", "status"])
    known = known.filter(pc.is_in(known["track_id"], value_set=found.tracks["track_id"]))
    if known.num_rows and not args.force:
        run_record.refuse_mixture(job)
    is_error = pc.equal(known["status"], "error")
    if args.force:
        again, kept = known, known.slice(0, 0)
    elif args.retry_errors:
        again, kept = known.filter(is_error), known.filter(pc.invert(is_error))
    else:
        again, kept = known.slice(0, 0), known
    failed = pc.sum(pc.equal(kept["status"], "error")).as_py() or 0
    return Work(
        total=found.tracks.num_rows,
        passed_over=found.passed_over,
        done=kept.num_rows - failed,
        failed=failed,
        again=again["track_id"],
        pending=catalogue.pending(found.tracks, kept["track_id"]),
    )


EXAMPLES = 5  # of each kind of error in the summary; the tracks table has all


def _show_errors(output: str, console: LineConsole) -> None:
    columns = ["uri", "status", "error_kind", "error"]
    errors = tables.read_table(output, "tracks", columns).filter(pc.field("status") == "error")
    for count in pc.value_counts(errors["error_kind"]).to_pylist():
        kind = count["values"]
        console.print(f"{count['counts']} tracks {kind}:")
        for row in errors.filter(pc.field("error_kind") == kind).slice(0, EXAMPLES).to_pylist():
            console.print(f"  {row['uri']}: {row['error']}")


def cause(error: Exception) -> str:
    """The sentence of what a stage raised, without Ray's layers around it; Ray's own text otherwise."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, RayTaskError):
            inner = inner.cause
        if isinstance(inner, SeparationError):
            return str(inner)
        inner = inner.__cause__
    # An actor that died in its constructor leaves its exception as text alone.
    ours = re.findall(r"^separation\.errors\.\w+: (.+)$", str(error), re.MULTILINE)
    return ours[-1] if ours else str(error)


# Fields of Plan that an option of the same name sets.
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


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.separate",
        description="Separates a catalogue of tracks into stems on a Ray cluster.",
        epilog="Exit codes: 0 all tracks done; 1 some tracks are errors; 2 refused or stopped, run again.",
    )
    parser.add_argument(
        "--input",
        required=True,
        type=uri,
        metavar="URI",
        help="a prefix, a glob, or a manifest (.parquet, .csv, .jsonl with uri and optional track_id)",
    )
    parser.add_argument("--output", required=True, type=uri, metavar="URI", help="where stems and tables go")
    parser.add_argument(
        "--models", required=True, type=uri, metavar="URI", help="a model folder (python -m export)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and what is left, and stop")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--retry-errors", action="store_true", help="try tracks in error again")
    again.add_argument("--force", action="store_true", help="do every track again")
    parser.add_argument(
        "--price", type=float, metavar="USD", help="of a node-hour, for run.json and the report"
    )
    parser.add_argument(
        "--benchmark",
        type=uri,
        metavar="URI",
        help="a benchmark for the estimate of --dry-run (the output's last)",
    )
    separation_options.add_arguments(parser)
    add_plan_arguments(parser)
    return parser


def share(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return rate


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """What `make_job` reads beside the separation's own options."""
    where = parser.add_argument_group("plan", "derived from the cluster where not given")
    where.add_argument("--provider", choices=PROVIDERS, default="auto", help="(%(default)s)")
    where.add_argument("--actors", type=int, metavar="N", help="a specialist, over the whole cluster")
    where.add_argument("--max-actors", type=int, metavar="N", help="to which a pool may grow")
    where.add_argument("--cpus-per-actor", type=float, metavar="N")
    where.add_argument("--gpus-per-actor", type=float, metavar="N")
    where.add_argument("--threads", type=int, metavar="N", help="of an ONNX session")
    where.add_argument("--turns", type=int, metavar="N", help="inferences at once on a node (0: no limit)")
    where.add_argument("--batch", type=int, metavar="N", help="chunks an inference")
    where.add_argument("--chunks-per-section", type=int, metavar="N")
    where.add_argument("--task-cpus", type=float, metavar="N", help="of a probe, chunk or stitch task")
    where.add_argument("--nodes", type=int, metavar="N", help="plan for N nodes, and wait for those to come")
    where.add_argument("--node-cpus", type=float, metavar="N", help="of each of them")
    where.add_argument("--node-gpus", type=float, default=0.0, metavar="N", help="(%(default)g)")
    where.add_argument("--node-memory-gb", type=float, metavar="GB")
    default = f"{tempfile.gettempdir()}/stemfleet-{os.getuid()}"
    where.add_argument(
        "--cache", default=default, metavar="DIR", help="on each node, for models and sources (%(default)s)"
    )
    where.add_argument(
        "--verify-writes",
        type=share,
        default=0.01,
        metavar="RATE",
        help="share of the stems to read back, 0 to 1 (%(default)g)",
    )
    where.add_argument("--cache-gb", type=float, default=10.0, help="for sources on a node (%(default)s)")
    limits.add_arguments(parser)


if __name__ == "__main__":
    sys.exit(main())
