"""What all stems of an output folder have in common: models, precision, engine and options."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import msgspec

from separation.contract import HTDEMUCS, Contract
from separation.errors import UsageError
from separation.options import Options
from separation.selection import Selecting
from separation.store.redact import shown

SHA256 = re.compile("[0-9a-f]{64}")
SHOWN_DIGITS = 12  # of a model's sha256
OLD_OVERLAP = 0.25  # of all runs before a bag could have another one of its own
HTDEMUCS_FIELDS = asdict(HTDEMUCS)
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
    # stem -> fields of its contract that are not htdemucs's; older outputs say nothing, and had that one
    contracts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, chosen: Selecting) -> Self:
        """Of a job, or of what separates without Ray."""
        bag, stems = chosen.bag, dict.fromkeys((*chosen.stems, *chosen.options.chosen(chosen.bag.stems)))
        models = {stem: bag.fingerprint(stem) for stem in bag.stems if stem in stems}
        options = replace(chosen.options, overlap=_stated_overlap(chosen))
        as_json = json.loads(json.dumps(asdict(options)))
        unlike = {
            stem: _unlike_htdemucs(bag.contracts[bag.contract_name(stem)], options.overlap)
            for stem in chosen.stems
        }
        contracts = {stem: fields for stem, fields in unlike.items() if fields}
        return cls(models, bag.precision(chosen.stems), as_json, chosen.engine, contracts)

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
        content: list[object] = [self.models, self.precision, self.engine, chosen]
        content += [self.contracts] if self.contracts else []
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def differences(self, now: Self) -> list[str]:
        """Each option that differs, with its value here and in `now`; the engine only if both know it."""
        then, new = self._by_name(), now._by_name()
        for stem in (stem for stem in self.models if stem in now.models):
            for name, value in HTDEMUCS_FIELDS.items():
                then[f"{name} of {stem}"] = self.contracts.get(stem, {}).get(name, value)
                new[f"{name} of {stem}"] = now.contracts.get(stem, {}).get(name, value)
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


def mixture(folder: str, option: str, differing: list[str], outside: int, example: str, force: bool) -> str:
    """Why a run may not write to `folder`, whose stems have other settings.

    `option` names the folder on the command line. `outside` of its tracks, `example` among them, are not
    in the run's catalogue, so that to `force` all others would leave these as they are.
    """
    advice = "--force to do its tracks again"
    if force:
        advice = f"force all of its tracks: {outside} are not in this catalogue, {shown(example)} among them"
    found = f"{folder} holds stems of other settings: {'; '.join(differing)}"
    return f"{found}. Choose another {option}, or {advice}"


def _stated_overlap(chosen: Selecting) -> float | None:
    """One value for every way to ask for the same grids: `OLD_OVERLAP` first, then None."""
    return next(filter(chosen.lays_the_same_grids, (OLD_OVERLAP, None)), chosen.options.overlap)


def _unlike_htdemucs(contract: Contract, overlap: float | None) -> dict[str, Any]:
    """The fields of a contract that differ from htdemucs's; its stride only if no overlap takes its place."""
    fields = asdict(contract)
    if overlap is not None:
        del fields["stride"]
    return {name: value for name, value in fields.items() if value != HTDEMUCS_FIELDS[name]}


def _shown(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    short = SHA256.sub(lambda found: found[0][:SHOWN_DIGITS], value)
    return short if short != value else json.dumps(value)
