"""The benchmark from its arguments to its summary: a warm-up, timed repeats, comparisons, a sweep.

How the seconds add up is told in `accounting`.
"""

import argparse
import importlib.util
import json
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from msgspec import UNSET

from jobs.benchmark import reference, result, result_tables, sweep
from jobs.benchmark.result import StageOfRepeat
from jobs.benchmark.synthesis import synthesise
from jobs.benchmark.trial import Trial, machines, trial
from jobs.benchmark.warm_up import openings
from jobs.pipeline import dataset, job_request, ray_session
from jobs.pipeline.catalogue.reading import read_catalogue
from jobs.pipeline.cost import estimate, prices, projection
from jobs.pipeline.cost import summary as stored
from jobs.pipeline.cost.summary import Comparison, Figures, Summary
from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from separation.arguments import check_folder
from separation.console import LineConsole
from separation.errors import PlanError, UsageError
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
    whole = request_of_all_stems(args, store) if args.compare == "all" else None
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
        job = request.job(dataset.cluster_nodes())
        preflight_s += time.perf_counter() - clock
        for line in job.plan.describe():
            console.print(line)
        if args.compare == "demucs" and len(machines()) > 1:
            raise UsageError("--compare demucs needs a cluster of one machine: demucs runs on one")
        console.print(f"catalogue: {tracks.num_rows} tracks of {args.input}")
        return measure(args, Runs(args, request, whole, console), job, tracks, connect_s, preflight_s)


def request_of_all_stems(args: argparse.Namespace, store: Store) -> JobRequest:
    every_stem = argparse.Namespace(**(vars(args) | {"stems": "", "two_stems": None}))
    return job_request.from_arguments(every_stem, store)


def check_demucs(args: argparse.Namespace, request: JobRequest) -> None:
    """Raises what `--compare demucs` would only meet after the job's own runs."""
    if not (args.bag or request.bag.origin):
        raise UsageError("--compare demucs: bag.json does not say where its checkpoints are; --bag does")
    if importlib.util.find_spec("demucs") is None:
        raise ModuleNotFoundError("--compare demucs", name="demucs")


def measure(
    args: argparse.Namespace,
    runs: "Runs",
    job: Job,
    tracks: pa.Table,
    connect_s: float,
    preflight_s: float,
) -> int:
    """Runs what `args` ask for; prints and stores the summary."""
    console = runs.console
    opened = openings(job)
    warm_up = runs.warm_up(tracks, job)
    for setting in sweep.settings(job.plan, runs.cores) if args.sweep else [{}]:
        runs.repeat(tracks, setting)
    figures = runs.figures(job, warm_up)
    summary = Summary(
        benchmark_id=runs.benchmark_id,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        input=args.input,
        models=args.models,
        stems=list(job.stems),
        cluster=result.cluster_of(runs.nodes, warm_up),
        plan=asdict(job.plan),
        connect_s=connect_s,
        preflight_s=preflight_s,
        warm_up_s=warm_up.wall_s,
        openings=opened,
        last_run=runs.last.removeprefix(f"{args.output}/"),
        figures=figures[""],
        compare=runs.comparison() or UNSET,
        sweep=result.sweep_result(figures) if args.sweep else UNSET,
    )
    kept = result.write(args.output, summary, runs.stages, job.store)
    result_tables.print_summary(summary, console)
    if args.project:
        hours, throughputs = projection.parse_hours(args.project), projection.measured(summary, args.price)
        _print_projection(hours, throughputs, ", ".join(job.stems), args, console)
    console.result(f"kept: {kept}")
    print(json.dumps(stored.as_json(summary)), flush=True)
    return ExitCode.SOME_ERRORS if summary.figures.failed else ExitCode.DONE


class Runs:
    """The timed runs of one benchmark, each with an output of its own; the last one keeps its stems."""

    def __init__(
        self, args: argparse.Namespace, request: JobRequest, whole: JobRequest | None, console: LineConsole
    ):
        """`whole` is the request for all stems, to compare with."""
        self.console = console
        self.nodes = [node for node in dataset.cluster_nodes() if node.cpus or node.gpus]
        self._args, self._request, self._whole_request = args, request, whole
        self.benchmark_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self.cores = max(1, min(int(node.cpus) for node in self.nodes))
        self.stages: list[StageOfRepeat] = []
        self._trials: dict[str, list[Trial]] = {}  # by the setting's name
        self._references: list[reference.Reference] = []
        self._snr: dict[str, float] = {}
        self._whole: list[Trial] = []  # all stems, after each of the trials
        self.last = ""  # the last run's output

    def warm_up(self, tracks: pa.Table, job: Job) -> Trial:
        """The first track alone: workers, caches and the operating system meet the work."""
        self.console.print("warm-up: one track")
        done = self._run(tracks.slice(0, 1), self._job_of(job, "", 0))
        self.stages += result.stages_of("", 0, [done])
        return done

    def repeat(self, tracks: pa.Table, setting: sweep.Setting) -> None:
        """All tracks under `setting`, as often as asked for; demucs after each run, if asked for."""
        name = sweep.name(setting)
        try:
            request = replace(self._request, overrides={**self._request.overrides, **setting})
            job = request.job(dataset.cluster_nodes())
        except PlanError as error:
            self.console.print(f"{name}: left out, {error}")
            return
        trials = self._trials.setdefault(name, [])
        for number in range(1, self._args.repeats + 1):
            self.console.print(f"repeat {number} of {self._args.repeats} {name}".rstrip())
            run = self._job_of(job, name, number)
            trials.append(self._run(tracks, run))
            if self._args.compare == "demucs" and not setting:
                self._run_demucs(run)
            if self._whole_request and not setting:
                self._run_whole(tracks, number, self._whole_request)
        self.stages += result.stages_of(name, 1, trials)

    def figures(self, job: Job, warm_up: Trial) -> dict[str, Figures]:
        """By setting; "" is the plan as derived."""
        device, count = (warm_up.devices or ("",))[0], len(self.nodes)
        cpus, gpus = (sum(getattr(node, name) for node in self.nodes) / count for name in ("cpus", "gpus"))
        price = prices.price_of(cpus, gpus, device, self._args.price, self._args.instance)
        return {
            name: result.figures(trials, self.nodes, job.plan, price) for name, trials in self._trials.items()
        }

    def comparison(self) -> Comparison | None:
        if self._references:
            ours = [trial.x_realtime for trial in self._trials[""]]
            return reference.compared(ours, self._references, self._snr)
        return result.compare_with_all_stems(self._trials[""], self._whole) if self._whole else None

    def _job_of(self, job: Job, setting: str, repeat: int) -> Job:
        words = "-".join(["run", *setting.replace("--", "").split(), str(repeat)])
        output = join(self._args.output, f"runs/{self.benchmark_id}/{words}")
        return replace(job, output=output, run_id=self.benchmark_id)

    def _run(self, tracks: pa.Table, job: Job) -> Trial:
        if self.last:
            job.store.remove(file.uri for file in job.store.list_files(join(self.last, "stems")))
        self.last = job.output
        return trial(tracks, job, vars(self._args), self.console)

    def _run_whole(self, tracks: pa.Table, number: int, request: JobRequest) -> None:
        self.console.print("all stems, the same tracks")
        whole = request.job(dataset.cluster_nodes())
        self._whole.append(self._run(tracks, self._job_of(whole, "--all", number)))
        self.stages += result.stages_of("--all", number, self._whole[-1:])

    def _run_demucs(self, job: Job) -> None:
        self.console.print("demucs, the same tracks")
        with tempfile.TemporaryDirectory(prefix="stemfleet-demucs-") as folder:
            out, args = Path(folder), self._args
            self._references.append(
                reference.run_demucs(job, self.cores, out, args.bag, args.trust_checkpoint)
            )
            self._snr = reference.snr_db(job, out)


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
