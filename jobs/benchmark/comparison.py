"""The job with all stems, or with another model folder, over the same tracks on the same nodes."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.benchmark.accounting import own_core_s
from jobs.benchmark.result import spread
from jobs.benchmark.trial import Trial
from jobs.pipeline import job_request
from jobs.pipeline.cost.summary import AllStemsComparison, ModelsComparison
from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from separation.errors import UsageError
from separation.store.objects import Store

ALL_STEMS, OTHER_MODELS = "--all", "--compare-models"


@dataclass(frozen=True, slots=True)
class Beside:
    """A job to run as often as the benchmark's own; `setting` names its runs, in the table too."""

    setting: str  # ALL_STEMS | OTHER_MODELS
    request: JobRequest
    arguments: argparse.Namespace  # those that it was made from

    @property
    def description(self) -> str:
        return "all stems" if self.setting == ALL_STEMS else f"the models of {self.request.bag.uri}"


def requests_beside(args: argparse.Namespace, store: Store) -> list[Beside]:
    """What `args` compare the job with, but for demucs. Raises `UsageError` for what cannot be compared."""
    found = []
    if args.compare_models:
        try:
            found.append(_beside(OTHER_MODELS, args, store, models=args.compare_models))
        except UsageError as error:
            raise UsageError(f"--compare-models {args.compare_models}: {error}") from None
    if args.compare == "all":
        found.append(_beside(ALL_STEMS, args, store, stems="", two_stems=None))
    return found


def _beside(setting: str, args: argparse.Namespace, store: Store, **changed: str | None) -> Beside:
    arguments = argparse.Namespace(**vars(args) | changed)
    return Beside(setting, job_request.from_arguments(arguments, store), arguments)


def compare_with_all_stems(some: Sequence[Trial], all_stems: Sequence[Trial]) -> AllStemsComparison:
    """What some stems cost of what all of them cost, pair by pair: the two ran one after the other.

    Other programs on the machine change `core_ratio` less than `ratio`, but not nothing: their hyperthreads
    and caches lengthen core-seconds too.
    """
    pairs = list(zip(some, all_stems, strict=True))
    return AllStemsComparison(
        ratio=spread([part.work_s / whole.work_s for part, whole in pairs]),
        core_ratio=spread([own_core_s(part.stages) / own_core_s(whole.stages) for part, whole in pairs]),
    )


def compare_models(ours: Sequence[Trial], others: Sequence[Trial], other: Job) -> ModelsComparison:
    """What the models cost of what the `other` job's cost, pair by pair as `compare_with_all_stems`."""
    ratios = compare_with_all_stems(ours, others)
    return ModelsComparison(
        models=other.bag.uri,
        name=other.bag.name,
        stems=list(other.options.chosen(other.bag.stems)),
        graphs=list(other.graphs),
        ratio=ratios.ratio,
        core_ratio=ratios.core_ratio,
        x_realtime=spread([trial.x_realtime for trial in others]),
        core_s_per_audio_s=spread([own_core_s(trial.stages) / trial.audio_s for trial in others]),
    )
