"""What all stems of an output have in common: models, precision, engine and options."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import msgspec

from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from separation.errors import UsageError
from separation.options import Options

SHOWN_DIGITS = 12  # of a model's sha256
OLD_OVERLAP = 0.25  # of all runs before a bag could have another one of its own
DEFAULTS: dict[str, Any] = json.loads(json.dumps(asdict(Options(overlap=OLD_OVERLAP))))


@dataclass(frozen=True, slots=True)
class Settings:
    """What decides the samples at the output: two runs into one output must agree on it.

    `options` stay as JSON has them; one that is missing has its default. One that this version does not know
    makes a difference, too.
    """

    models: dict[str, str] = field(default_factory=dict)  # stem -> what gives it: see `Bag.fingerprint`
    precision: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    engine: str | None = None  # the provider; None where no plan has chosen it yet

    @classmethod
    def of(cls, job: Job | JobRequest) -> Self:
        stems = dict.fromkeys((*job.stems, *job.options.chosen(job.bag.stems)))
        models = {stem: job.bag.fingerprint(stem) for stem in job.bag.stems if stem in stems}
        options = replace(job.options, overlap=_stated_overlap(job))
        return cls(models, job.bag.precision(job.stems), json.loads(json.dumps(asdict(options))), job.engine)

    def parse_options(self) -> Options:
        """Raises `UsageError` for a value that this version does not know."""
        try:
            return msgspec.convert(self.options, Options)
        except msgspec.ValidationError as error:
            raise UsageError(f"run.json: settings.options: {error}") from error

    @property
    def outputs(self) -> set[str]:
        """The stems that every finished track has; empty if the record does not say."""
        if stem := self.options.get("two_stems"):
            return {stem, f"no_{stem}"}
        return set(self.options.get("stems") or self.models)

    @property
    def digest(self) -> str:
        """The same for equal settings only, and in every version: an option at its default is left out."""
        chosen = {name: value for name, value in self.options.items() if value != DEFAULTS.get(name)}
        content = [self.models, self.precision, self.engine, chosen]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def differences(self, now: Self) -> list[str]:
        """Each option that differs, with its value here and in `now`; the engine only if both know it."""
        then, new = self._by_name(), now._by_name()
        if None in (self.engine, now.engine):
            new["engine"] = then["engine"]
        return [
            f"{name} was {_shown(then.get(name))}, is {_shown(new.get(name))}"
            for name in {**then, **new}
            if then.get(name) != new.get(name)
        ]

    def _by_name(self) -> dict[str, Any]:
        models = {f"model of {stem}": sha256 for stem, sha256 in self.models.items()}
        return {**models, "precision": self.precision, "engine": self.engine, **DEFAULTS, **self.options}


def _stated_overlap(job: Job | JobRequest) -> float | None:
    """One value for every way to ask for the same grids: `OLD_OVERLAP` first, then None."""
    return next(filter(job.lays_the_same_grids, (OLD_OVERLAP, None)), job.options.overlap)


def _shown(value: Any) -> str:
    is_hash = isinstance(value, str) and len(value) == 64
    return value[:SHOWN_DIGITS] if is_hash else json.dumps(value)
