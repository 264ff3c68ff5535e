"""python -m jobs.benchmark: what an hour of audio costs on this cluster, and where the time goes.

Runs the pipeline of `jobs.separate` over a catalogue: a warm-up, then repeats. The last line on stdout
is the summary as JSON; it and a table of stages stay at the output, below `benchmarks/`.
How the seconds add up is told in `jobs/pipeline/benchmark/accounting.py`.
"""

import argparse
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
from ray.exceptions import RayError
from rich.console import Console

from jobs.pipeline import catalogue, dataset
from jobs.pipeline.benchmark import estimate, prices, projection, reference, result, show, sweep, warm
from jobs.pipeline.benchmark.synthesis import seconds_range, synthesise
from jobs.pipeline.benchmark.trial import Trial, machines, trial
from jobs.pipeline.job import Job
from jobs.separate import DONE, SOME_ERRORS, STOPPED, add_plan_arguments, cause, make_job
from separation import options as separation_options
from separation.errors import PlanError, SeparationError, UsageError
from separation.storage import join, list_files, remove


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        if args.project and (args.x_realtime or not args.models):
            return project(args, console)
        if not args.models or not args.output:
            raise UsageError("--models and --output say what to run and where to keep the figures")
        return benchmark(args, console)
    except (SeparationError, RayError) as error:
        console.print(f"stopped: {cause(error)}")
        return STOPPED
    except Exception:  # as in jobs.separate: Python's own exit code would be 1
        console.print_exception()
        return STOPPED


def project(args: argparse.Namespace, console: Console) -> int:
    """A catalogue's cost from stated throughputs, or from the last benchmark; starts no Ray."""
    hours = projection.parse_hours(args.project)
    throughputs, stems = projection.stated(args.x_realtime, args.price), "as stated"
    if not throughputs:
        summary = result.find_last(args.output) if args.output else None
        if summary is None:
            raise UsageError("--project needs --x-realtime, or an --output that holds a benchmark")
        throughputs, stems = projection.measured(summary, args.price), ", ".join(summary["stems"])
    _print_projection(hours, throughputs, stems, args, console)
    return DONE


def benchmark(args: argparse.Namespace, console: Console) -> int:
    benchmark_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    clock = time.perf_counter()
    ray.init(logging_level="warning", log_to_driver=False)
    connect_s, clock = time.perf_counter() - clock, time.perf_counter()
    args.output = args.output.rstrip("/")
    job = make_job(args)
    preflight_s = time.perf_counter() - clock
    for line in job.plan.describe():
        console.print(line)
    nodes = dataset.cluster_nodes()
    if args.compare and len(machines()) > 1:
        raise UsageError("--compare needs a cluster of one machine: demucs runs on one")
    args.input = args.input or synthesise(args, console)
    tracks = catalogue.read_catalogue(args.input).tracks
    console.print(f"catalogue: {tracks.num_rows} tracks of {args.input}")

    runs = Runs(args, console, benchmark_id)
    console.print("warm-up: one track")
    opened = warm.openings(job)
    warm_up = runs.run(tracks.slice(0, 1), job, "", 0)
    table = result.rows(benchmark_id, "", 0, [warm_up])
    smallest = min(int(node.cpus) for node in nodes if node.cpus or node.gpus)
    price = prices.price_of(
        *_each_node(nodes), warm_up.devices[0] if warm_up.devices else "", args.price, args.instance
    )

    settings = sweep.settings(job.plan, max(1, smallest)) if args.sweep else [{}]
    found: dict[str, list[Trial]] = {}
    references: list[reference.Reference] = []
    snr: dict[str, float] = {}
    for setting in settings:
        name = sweep.name(setting)
        try:
            variant = make_job(argparse.Namespace(**vars(args) | setting))
        except PlanError as error:
            console.print(f"{name}: left out, {error}")
            continue
        for repeat in range(1, args.repeats + 1):
            console.print(f"repeat {repeat} of {args.repeats} {name}".rstrip())
            found.setdefault(name, []).append(runs.run(tracks, variant, name, repeat))
            if args.compare and not setting:
                with tempfile.TemporaryDirectory(prefix="stemfleet-demucs-") as folder:
                    console.print("demucs, the same tracks")
                    done = runs.job_of(variant, name, repeat)
                    references.append(
                        reference.run_demucs(done, smallest, Path(folder), args.bag, args.trust_checkpoint)
                    )
                    snr = reference.snr_db(done, Path(folder))
        table += result.rows(benchmark_id, name, 1, found[name])

    figures = {name: result.figures(trials, nodes, job.plan, price) for name, trials in found.items()}
    summary: dict[str, Any] = {
        "benchmark_id": benchmark_id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": args.input,
        "models": args.models,
        "stems": list(job.stems),
        "cluster": _cluster(nodes, warm_up),
        "plan": asdict(job.plan),
        "connect_s": connect_s,
        "preflight_s": preflight_s,
        "warm_up_s": warm_up.wall_s,
        "openings": [asdict(opening) for opening in opened],
        "figures": figures[""],
    }
    if references:
        ours = [each.x_realtime for each in found[""]]
        summary["compare"] = reference.compared(ours, references, snr)
    if args.sweep:
        speeds = {name: each["x_realtime"]["median"] for name, each in figures.items()}
        summary["sweep"] = {
            "x_realtime": {name: each["x_realtime"] for name, each in figures.items()},
            "recommended": sweep.recommend(speeds),
        }
    uri = result.write(args.output, summary, table)
    show.summary(summary, console)
    if args.project:
        hours = projection.parse_hours(args.project)
        _print_projection(
            hours, projection.measured(summary, args.price), ", ".join(job.stems), args, console
        )
    console.print(f"kept: {uri}")
    print(json.dumps(summary), flush=True)
    return SOME_ERRORS if summary["figures"]["failed"] else DONE


class Runs:
    """The timed runs of one benchmark, each with an output of its own; the last one keeps its stems."""

    def __init__(self, args: argparse.Namespace, console: Console, benchmark_id: str):
        self._args, self._console, self._id = args, console, benchmark_id
        self._last = ""

    def job_of(self, job: Job, setting: str, repeat: int) -> Job:
        words = "-".join(["run", *setting.replace("--", "").split(), str(repeat)])
        return replace(job, output=join(self._args.output, f"runs/{self._id}/{words}"), run_id=self._id)

    def run(self, tracks: pa.Table, job: Job, setting: str, repeat: int) -> Trial:
        if self._last:
            remove(file.uri for file in list_files(join(self._last, "stems")))
        job = self.job_of(job, setting, repeat)
        self._last = job.output
        return trial(tracks, job, vars(self._args), self._console)


def _each_node(nodes: Sequence[Any]) -> tuple[float, float]:
    """CPUs and GPUs of a node, on average over those that work."""
    working = [node for node in nodes if node.cpus or node.gpus]
    return (
        sum(node.cpus for node in working) / len(working),
        sum(node.gpus for node in working) / len(working),
    )


def _cluster(nodes: Sequence[Any], seen: Trial) -> dict[str, Any]:
    working = [node for node in nodes if node.cpus or node.gpus]
    return {
        "nodes": len(working),
        "cpus": sum(node.cpus for node in working),
        "gpus": sum(node.gpus for node in working),
        "store_bytes": sum(node.store_bytes for node in working),
        "machines": [{"name": usage.machine, "cores": usage.cores} for usage in seen.usages],
        "devices": list(seen.devices),
        "ray": ray.__version__,
    }


def _print_projection(
    hours: float,
    throughputs: Sequence[projection.Throughput],
    stems: str,
    args: argparse.Namespace,
    console: Console,
) -> None:
    console.print(f"{hours:,.1f} hours of audio, done within {args.within:g} hours:")
    for throughput in throughputs:
        console.print(estimate.show(projection.project(hours, throughput, args.within)))
    console.print("assumed:")
    for line in projection.assumptions(throughputs, stems):
        console.print(f"  {line}")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.benchmark",
        description="Measures what an hour of audio costs on a Ray cluster, and where the time goes.",
        epilog="The last line on stdout is the summary as JSON. Exit codes as of jobs.separate.",
    )
    parser.add_argument("--models", metavar="URI", help="a model folder (python -m export)")
    parser.add_argument("--output", metavar="URI", help="where figures, and the last run's stems, go")
    parser.add_argument("--repeats", type=_at_least_one, default=1, metavar="N", help="(%(default)s)")
    parser.add_argument("--sweep", action="store_true", help="try a few settings and recommend one")
    tracks = parser.add_argument_group("tracks", "given, or synthesised below the output")
    tracks.add_argument("--input", metavar="URI", help="a prefix, a glob, or a manifest")
    tracks.add_argument("--tracks", type=_at_least_one, default=7, metavar="N", help="(%(default)s)")
    tracks.add_argument(
        "--seconds", type=seconds_range, default=(30.0, 60.0), metavar="A-B", help="of a track (30-60)"
    )
    tracks.add_argument("--codecs", default="", metavar="A,B", help="file name extensions (all of band's)")
    compare = parser.add_argument_group("comparison")
    compare.add_argument("--compare", choices=["demucs"], help="run it over the same tracks and cores too")
    compare.add_argument(
        "--bag", metavar="WORDS", help="the checkpoints, as after python -m export (bag.json's)"
    )
    compare.add_argument("--trust-checkpoint", action="store_true", help="as in python -m export")
    money = parser.add_argument_group("money")
    money.add_argument("--instance", metavar="NAME", help="whose price in prices.json a node has")
    money.add_argument("--price", type=float, metavar="USD", help="of a node-hour, instead of prices.json's")
    money.add_argument(
        "--project",
        metavar="HOURS",
        help="cost of a catalogue: audio-hours, or TRACKSxMINUTES; without "
        "--models from --x-realtime or the output's last benchmark",
    )
    money.add_argument(
        "--x-realtime",
        action="append",
        default=[],
        metavar="INSTANCE=X",
        help="a stated throughput of a node",
    )
    money.add_argument(
        "--within", type=float, default=projection.WITHIN_HOURS, metavar="HOURS", help="(%(default)g)"
    )
    separation_options.add_arguments(parser)
    add_plan_arguments(parser)
    return parser


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


if __name__ == "__main__":
    sys.exit(main())
