"""The benchmark from its arguments to its summary: a warm-up, timed repeats, comparisons, a sweep.

How the seconds add up is told in `accounting`.
"""

import argparse
import importlib.util
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from msgspec import UNSET

from jobs.benchmark import reference, result, result_tables, sweep
from jobs.benchmark.comparison import requests_beside
from jobs.benchmark.runs import Runs, job_on_cluster
from jobs.benchmark.synthesis import synthesise
from jobs.benchmark.trial import machines
from jobs.benchmark.warm_up import openings
from jobs.pipeline import job_request, ray_session
from jobs.pipeline.catalogue.reading import read_catalogue
from jobs.pipeline.cost import estimate, projection
from jobs.pipeline.cost import summary as stored
from jobs.pipeline.cost.summary import Summary
from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from separation.arguments import check_folder
from separation.console import LineConsole
from separation.errors import UsageError
from separation.program import ExitCode
from separation.store.filesystems import join
from separation.store.objects import Store


def run(args: argparse.Namespace, console: LineConsole, store: Store) -> int:
    if args.project and (args.x_realtime or not args.models):
        return project(args, console, store)
    if not args.models or not args.output:
        raise UsageError("a benchmark needs --models (what to run) and --output (where to keep the figures)")
    return benchmark(args, console, store)


def project(args: argparse.Namespace, console: LineConsole, store: Store) -> int:
    """A catalogue's cost from stated throughputs, or from the last benchmark; starts no Ray."""
    hours = projection.parse_hours(args.project)
    throughputs, stems = projection.stated(args.x_realtime, args.price), "as stated"
    if not throughputs:
        summary = stored.find_last(args.output, store) if args.output else None
        if summary is None:
            raise UsageError("--project needs --x-realtime, or an --output that holds a benchmark")
        throughputs, stems = projection.measured(summary, args.price), ", ".join(summary.stems)
    _print_projection(hours, throughputs, stems, args, console)
    return ExitCode.DONE


def benchmark(args: argparse.Namespace, console: LineConsole, store: Store) -> int:
    clock = time.perf_counter()
    request = job_request.from_arguments(args, store)
    beside = requests_beside(args, store)
    if args.project:
        projection.parse_hours(args.project)
    if args.compare == "demucs":
        check_demucs(args, request)
    args.output = request.output
    check_folder(args.output)
    preflight_s = time.perf_counter() - clock
    args.input = args.input or synthesise(args, console, store)
    tracks = read_catalogue(args.input, join(args.output, "runs"), store).tracks
    clock = time.perf_counter()
    with ray_session.connect():
        connect_s, clock = time.perf_counter() - clock, time.perf_counter()
        job = job_on_cluster(request, tracks.num_rows)
        preflight_s += time.perf_counter() - clock
        for line in job.describe():
            console.print(line)
        if args.compare == "demucs" and len(machines()) > 1:
            raise UsageError("--compare demucs needs a cluster of one machine: demucs runs on one")
        console.print(f"catalogue: {tracks.num_rows} tracks of {args.input}")
        runs = Runs(args, request, beside, tracks, console)
        return measure(args, runs, job, connect_s, preflight_s)


def check_demucs(args: argparse.Namespace, request: JobRequest) -> None:
    """Raises what `--compare demucs` would only meet after the job's own runs."""
    reference.check(request, args.bag)
    if importlib.util.find_spec("demucs") is None:
        raise ModuleNotFoundError("--compare demucs", name="demucs")


def measure(
    args: argparse.Namespace,
    runs: Runs,
    job: Job,
    connect_s: float,
    preflight_s: float,
) -> int:
    """Runs what `args` ask for; prints and stores the summary."""
    console = runs.console
    opened = openings(job)
    warm_up = runs.warm_up(job)
    for setting in sweep.settings(job.plan, runs.cores) if args.sweep else [{}]:
        runs.repeat(setting)
    figures = runs.figures(job, warm_up)
    summary = Summary(
        benchmark_id=runs.benchmark_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        input=args.input,
        models=args.models,
        models_name=job.bag.name,
        graphs=result.graphs_of(job, figures[""]),
        stems=list(job.options.chosen(job.bag.stems)),
        cluster=result.cluster_of(runs.nodes, warm_up),
        plan=asdict(job.plan),
        connect_s=connect_s,
        preflight_s=preflight_s,
        warm_up_s=warm_up.wall_s,
        openings=opened,
        last_run=runs.last.removeprefix(f"{args.output}/"),
        figures=figures[""],
        compare=runs.comparison() or UNSET,
        compare_models=runs.comparison_of_models() or UNSET,
        sweep=result.sweep_result(figures) if args.sweep else UNSET,
    )
    kept = result.write(args.output, summary, runs.stages, job.store)
    result_tables.print_summary(summary, console)
    if args.project:
        hours, throughputs = projection.parse_hours(args.project), projection.measured(summary, args.price)
        _print_projection(hours, throughputs, ", ".join(summary.stems), args, console)
    console.result(f"kept: {kept}")
    print(json.dumps(stored.as_json(summary)), flush=True)
    return ExitCode.SOME_ERRORS if summary.figures.failed else ExitCode.DONE


def _print_projection(
    hours: float,
    throughputs: Sequence[projection.Throughput],
    stems: str,
    args: argparse.Namespace,
    console: LineConsole,
) -> None:
    console.result(f"{hours:,.1f} hours of audio, done within {args.within:g} hours:")
    for throughput in throughputs:
        console.result(estimate.show(projection.project(hours, throughput, args.within)))
    console.result("assumed:")
    for line in projection.assumptions(throughputs, stems):
        console.result(f"  {line}")
