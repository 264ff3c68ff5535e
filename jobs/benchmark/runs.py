"""The timed runs of one benchmark: what runs after what, and where each one's output lies."""

import argparse
import secrets
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from jobs.benchmark import comparison, reference, result, sweep
from jobs.benchmark.comparison import ALL_STEMS, OTHER_MODELS, Beside
from jobs.benchmark.result import StageOfRepeat
from jobs.benchmark.trial import Trial, trial
from jobs.pipeline import dataset
from jobs.pipeline.cost import prices
from jobs.pipeline.cost.summary import AllStemsComparison, DemucsComparison, Figures, ModelsComparison
from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from separation.console import LineConsole
from separation.errors import PlanError
from separation.store.filesystems import join


def job_on_cluster(request: JobRequest, tracks: int) -> Job:
    """The job, sized for the nodes that there are and for that many tracks.

    Raises `PlanError` if it does not fit.
    """
    return request.for_tracks(request.job(dataset.cluster_nodes()), tracks)


class Runs:
    """The runs over `tracks`. Each has an output of its own; the last one keeps its stems."""

    def __init__(
        self,
        args: argparse.Namespace,
        request: JobRequest,
        beside: list[Beside],
        tracks: pa.Table,
        console: LineConsole,
    ):
        """Raises `PlanError` if a job `beside` does not fit the cluster."""
        self.console, self._tracks = console, tracks
        self.nodes = [node for node in dataset.cluster_nodes() if node.cpus or node.gpus]
        self._args, self._request = args, request
        self.benchmark_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        self.cores = max(1, min(int(node.cpus) for node in self.nodes))
        self.stages: list[StageOfRepeat] = []
        self._trials: dict[str, list[Trial]] = {}  # by the setting's name
        self._references: list[reference.Reference] = []
        self._snr: dict[str, float] = {}
        self._beside = {each.setting: each for each in beside}
        self._jobs = {each.setting: job_on_cluster(each.request, tracks.num_rows) for each in beside}
        self.last = ""  # the last run's output

    def warm_up(self, job: Job) -> Trial:
        """The first track alone: workers, caches and the operating system meet the work."""
        self.console.print("warm-up: one track")
        first = self._tracks.slice(0, 1)
        if other := self._beside.get(OTHER_MODELS):
            self.stages += result.stages_of(OTHER_MODELS, 0, [self._run_beside(first, 0, other)])
        done = self._run(first, self._job_of(job, "", 0), self._args)
        self.stages += result.stages_of("", 0, [done])
        return done

    def repeat(self, setting: sweep.Setting) -> None:
        """All tracks under `setting`, as often as asked for, each time beside what it is compared with.

        The other models go first, so that the stems which are kept, or compared with demucs's, are the job's.
        """
        name = sweep.name(setting)
        try:
            request = replace(self._request, overrides={**self._request.overrides, **setting})
            job = job_on_cluster(request, self._tracks.num_rows)
        except PlanError as error:
            self.console.print(f"{name}: left out, {error}")
            return
        beside = {} if setting else self._beside
        for number in range(1, self._args.repeats + 1):
            self.console.print(f"repeat {number} of {self._args.repeats} {name}".rstrip())
            if other := beside.get(OTHER_MODELS):
                self._keep(OTHER_MODELS, self._run_beside(self._tracks, number, other))
            run = self._job_of(job, name, number)
            self._keep(name, self._run(self._tracks, run, self._args))
            if self._args.compare == "demucs" and not setting:
                self._run_demucs(run)
            if whole := beside.get(ALL_STEMS):
                self._keep(ALL_STEMS, self._run_beside(self._tracks, number, whole))

    def figures(self, job: Job, warm_up: Trial) -> dict[str, Figures]:
        """By setting; "" is the plan as derived. Without those of the jobs beside."""
        device, count = (warm_up.devices or ("",))[0], len(self.nodes)
        cpus, gpus = (sum(getattr(node, name) for node in self.nodes) / count for name in ("cpus", "gpus"))
        price = prices.price_of(cpus, gpus, device, self._args.price, self._args.instance)
        return {
            name: result.figures(trials, self.nodes, job.plan, price)
            for name, trials in self._trials.items()
            if name not in self._beside
        }

    def comparison(self) -> DemucsComparison | AllStemsComparison | None:
        """With what `--compare` names."""
        ours = self._trials[""]
        if self._references:
            speeds = [trial.x_realtime for trial in ours]
            return reference.compared(speeds, self._references, self._snr)
        whole = self._trials.get(ALL_STEMS)
        return comparison.compare_with_all_stems(ours, whole) if whole else None

    def comparison_of_models(self) -> ModelsComparison | None:
        others = self._trials.get(OTHER_MODELS)
        return (
            comparison.compare_models(self._trials[""], others, self._jobs[OTHER_MODELS]) if others else None
        )

    def _keep(self, name: str, done: Trial) -> None:
        trials = self._trials.setdefault(name, [])
        trials.append(done)
        self.stages += result.stages_of(name, len(trials), [done])

    def _job_of(self, job: Job, setting: str, repeat: int) -> Job:
        words = "-".join(["run", *setting.replace("--", "").split(), str(repeat)])
        output = join(self._args.output, f"runs/{self.benchmark_id}/{words}")
        return replace(job, output=output, run_id=self.benchmark_id)

    def _run(self, tracks: pa.Table, job: Job, arguments: argparse.Namespace) -> Trial:
        if self.last:
            job.store.remove(file.uri for file in job.store.list_files(join(self.last, "stems")))
        self.last = job.output
        return trial(tracks, job, vars(arguments), self.console)

    def _run_beside(self, tracks: pa.Table, number: int, beside: Beside) -> Trial:
        self.console.print(f"{beside.description}, the same tracks")
        job = self._job_of(self._jobs[beside.setting], beside.setting, number)
        return self._run(tracks, job, beside.arguments)

    def _run_demucs(self, job: Job) -> None:
        self.console.print("demucs, the same tracks")
        with tempfile.TemporaryDirectory(prefix="stemfleet-demucs-") as folder:
            out, args = Path(folder), self._args
            self._references.append(
                reference.run_demucs(job, self.cores, out, args.bag, args.trust_checkpoint)
            )
            self._snr = reference.snr_db(job, out)
