"""python -m jobs.benchmark: what an hour of audio costs on this cluster, and where the time goes.

Runs the pipeline of `jobs.separate` over a catalogue: a warm-up, then repeats. The last line on stdout
is the summary as JSON; it and a table of stages stay at the output, below `benchmarks/`.
How the seconds add up is told in `jobs/benchmark/accounting.py`.
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

from jobs.benchmark import reference, result, result_tables, sweep
from jobs.benchmark.synthesis import seconds_range, synthesise
from jobs.benchmark.trial import Trial, machines, trial
from jobs.benchmark.warm_up import openings
from jobs.pipeline import catalogue, dataset
from jobs.pipeline.arguments import place, uri
from jobs.pipeline.console import LineConsole
from jobs.pipeline.cost import estimate, prices, projection
from jobs.pipeline.job import Job
from jobs.pipeline.sizing import Node
from jobs.separate.__main__ import DONE, SOME_ERRORS, STOPPED, add_plan_arguments, cause, make_job
from separation import options as separation_options
from separation.errors import PlanError, SeparationError, UsageError
from separation.store.objects import join, list_files, remove


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    console = LineConsole()
    try:
        if args.project and (args.x_realtime or not args.models):
            return project(args, console)
        if not args.models or not args.output:
            raise UsageError("--models and --output say what to run and where to keep the figures")
        return benchmark(args, console)
    except (SeparationError, RayError) as error:
        console.print(f"stopped: {cause(error)}")
        return STOPPED
    except Exception as error:  # as in jobs.separate: Python's own exit code would be 1
        console.print_failure(error)
        return STOPPED


def project(args: argparse.Namespace, console: LineConsole) -> int:
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


def benchmark(args: argparse.Namespace, console: LineConsole) -> int:
    clock = time.perf_counter()
    ray.init(logging_level="warning", log_to_driver=False)
    connect_s, clock = time.perf_counter() - clock, time.perf_counter()
    args.output = place(args.output)
    job = make_job(args)
    once = {"connect_s": connect_s, "preflight_s": time.perf_counter() - clock}
    for line in job.plan.describe():
        console.print(line)
    nodes = [node for node in dataset.cluster_nodes() if node.cpus or node.gpus]
    if args.compare == "demucs" and len(machines()) > 1:
        raise UsageError("--compare demucs needs a cluster of one machine: demucs runs on one")
    args.input = args.input or synthesise(args, console)
    tracks = catalogue.read_catalogue(args.input).tracks
    console.print(f"catalogue: {tracks.num_rows} tracks of {args.input}")

    runs = Runs(args, console, nodes)
    opened = openings(job)
    warm_up = runs.warm_up(tracks, job)
    for setting in sweep.settings(job.plan, runs.cores) if args.sweep else [{}]:
        runs.repeat(tracks, setting)
    summary = {
        "benchmark_id": runs.benchmark_id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "input": args.input,
        "models": args.models,
        "stems": list(job.stems),
        "cluster": _cluster(nodes, warm_up),
        "plan": asdict(job.plan),
        **once,
        "warm_up_s": warm_up.wall_s,
        "openings": [asdict(opening) for opening in opened],
        "last_run": runs.last.removeprefix(f"{args.output}/"),  # the one whose stems are kept
        **runs.results(job, warm_up),
    }
    kept = result.write(args.output, summary, runs.table)
    result_tables.summary(summary, console)
    if args.project:
        hours, throughputs = projection.parse_hours(args.project), projection.measured(summary, args.price)
        _print_projection(hours, throughputs, ", ".join(job.stems), args, console)
    console.print(f"kept: {kept}")
    print(json.dumps(summary), flush=True)
    return SOME_ERRORS if summary["figures"]["failed"] else DONE


class Runs:
    """The timed runs of one benchmark, each with an output of its own; the last one keeps its stems."""

    def __init__(self, args: argparse.Namespace, console: LineConsole, nodes: Sequence[Node]):
        self._args, self._console, self._nodes = args, console, nodes
        self.benchmark_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self.cores = max(1, min(int(node.cpus) for node in nodes))
        self.table: list[dict[str, Any]] = []  # a row a repeat and stage
        self._trials: dict[str, list[Trial]] = {}  # by the setting's name
        self._references: list[reference.Reference] = []
        self._snr: dict[str, float] = {}
        self._whole: list[Trial] = []  # all stems, after each of the trials
        self.last = ""  # the last run's output

    def warm_up(self, tracks: pa.Table, job: Job) -> Trial:
        """The first track alone: workers, caches and the operating system meet the work."""
        self._console.print("warm-up: one track")
        done = self._run(tracks.slice(0, 1), self._job_of(job, "", 0))
        self.table += result.rows(self.benchmark_id, "", 0, [done])
        return done

    def repeat(self, tracks: pa.Table, setting: dict[str, Any]) -> None:
        """All tracks under `setting`, as often as asked for; demucs after each run, if asked for."""
        name = sweep.name(setting)
        try:
            job = make_job(argparse.Namespace(**(vars(self._args) | setting)))
        except PlanError as error:
            self._console.print(f"{name}: left out, {error}")
            return
        trials = self._trials.setdefault(name, [])
        for number in range(1, self._args.repeats + 1):
            self._console.print(f"repeat {number} of {self._args.repeats} {name}".rstrip())
            run = self._job_of(job, name, number)
            trials.append(self._run(tracks, run))
            if self._args.compare == "demucs" and not setting:
                self._run_demucs(run)
            if self._args.compare == "all" and not setting:
                self._run_whole(tracks, number)
        self.table += result.rows(self.benchmark_id, name, 1, trials)

    def results(self, job: Job, warm_up: Trial) -> dict[str, Any]:
        """The summary's parts that the runs give: `figures`, and `compare` and `sweep` if asked for."""
        device, count = (warm_up.devices or ("",))[0], len(self._nodes)
        cpus, gpus = (sum(getattr(node, name) for node in self._nodes) / count for name in ("cpus", "gpus"))
        price = prices.price_of(cpus, gpus, device, self._args.price, self._args.instance)
        figures = {
            name: result.figures(trials, self._nodes, job.plan, price)
            for name, trials in self._trials.items()
        }
        found: dict[str, Any] = {"figures": figures[""]}
        if self._references:
            ours = [trial.x_realtime for trial in self._trials[""]]
            found["compare"] = reference.compared(ours, self._references, self._snr)
        if self._whole:
            found["compare"] = result.part_of_whole(self._trials[""], self._whole)
        if self._args.sweep:
            speeds = {name: each["x_realtime"] for name, each in figures.items()}
            medians = {name: speed["median"] for name, speed in speeds.items()}
            found["sweep"] = {"x_realtime": speeds, "recommended": sweep.recommend(medians)}
        return found

    def _job_of(self, job: Job, setting: str, repeat: int) -> Job:
        words = "-".join(["run", *setting.replace("--", "").split(), str(repeat)])
        output = join(self._args.output, f"runs/{self.benchmark_id}/{words}")
        return replace(job, output=output, run_id=self.benchmark_id)

    def _run(self, tracks: pa.Table, job: Job) -> Trial:
        if self.last:
            remove(file.uri for file in list_files(join(self.last, "stems")))
        self.last = job.output
        return trial(tracks, job, vars(self._args), self._console)

    def _run_whole(self, tracks: pa.Table, number: int) -> None:
        self._console.print("all stems, the same tracks")
        whole = make_job(argparse.Namespace(**(vars(self._args) | {"stems": "", "two_stems": None})))
        self._whole.append(self._run(tracks, self._job_of(whole, "--all", number)))
        self.table += result.rows(self.benchmark_id, "--all", number, self._whole[-1:])

    def _run_demucs(self, job: Job) -> None:
        self._console.print("demucs, the same tracks")
        with tempfile.TemporaryDirectory(prefix="stemfleet-demucs-") as folder:
            out, args = Path(folder), self._args
            self._references.append(
                reference.run_demucs(job, self.cores, out, args.bag, args.trust_checkpoint)
            )
            self._snr = reference.snr_db(job, out)


def _cluster(nodes: Sequence[Node], seen: Trial) -> dict[str, Any]:
    return {
        "nodes": len(nodes),
        "cpus": sum(node.cpus for node in nodes),
        "gpus": sum(node.gpus for node in nodes),
        "store_bytes": sum(node.store_bytes for node in nodes),
        "machines": [{"name": usage.machine, "cores": usage.cores} for usage in seen.usages],
        "devices": list(seen.devices),
        "ray": ray.__version__,
    }


def _print_projection(
    hours: float,
    throughputs: Sequence[projection.Throughput],
    stems: str,
    args: argparse.Namespace,
    console: LineConsole,
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
    parser.add_argument("--models", type=uri, metavar="URI", help="a model folder (python -m export)")
    parser.add_argument(
        "--output", type=uri, metavar="URI", help="where figures, and the last run's stems, go"
    )
    parser.add_argument("--repeats", type=_at_least_one, default=1, metavar="N", help="(%(default)s)")
    parser.add_argument("--sweep", action="store_true", help="try a few settings and recommend one")
    tracks = parser.add_argument_group("tracks", "given, or synthesised below the output")
    tracks.add_argument("--input", type=uri, metavar="URI", help="a prefix, a glob, or a manifest")
    tracks.add_argument("--tracks", type=_at_least_one, default=7, metavar="N", help="(%(default)s)")
    tracks.add_argument(
        "--seconds", type=seconds_range, default=(30.0, 60.0), metavar="A-B", help="of a track (30-60)"
    )
    tracks.add_argument("--codecs", default="", metavar="A,B", help="file name extensions (all of band's)")
    compare = parser.add_argument_group("comparison")
    compare.add_argument(
        "--compare",
        choices=["demucs", "all"],
        help="run demucs over the same tracks and cores too, or all stems where --stems has some",
    )
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
