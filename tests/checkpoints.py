"""Bags of small HTDemucs models with hot weights, as checkpoints that demucs's own code writes and reads."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pytest
from demucs.apply import BagOfModels
from demucs.pretrained import get_model

from export.htdemucs.export_bag import export
from export.htdemucs.origin import Request
from export.htdemucs.random_bag import RandomBag, save_models
from tests.conftest import once_a_run

SMALL = RandomBag(seed=3, hot=True, channels=8, bottom_channels=32, layers=2, heads=2)
SIX = ("drums", "bass", "other", "vocals", "guitar", "piano")


@dataclass(frozen=True)
class Checkpoints:
    """The models of `bag`, and the weights of the yaml: a row for each model, None for a plain mean."""

    bag: RandomBag
    weights: tuple[tuple[float, ...], ...] | None = None


BAGS = {
    "like_htdemucs": Checkpoints(replace(SMALL, models=1)),
    "like_htdemucs_6s": Checkpoints(replace(SMALL, models=1, sources=SIX, bottom_channels=0)),
    "mean_of_three": Checkpoints(replace(SMALL, models=3)),
    # Bass is a mean of two models, other and vocals share one; rows of weight 0 are in no graph.
    "unequal": Checkpoints(replace(SMALL, models=3), ((1, 1, 0, 0), (0, 0.5, 0, 0), (0, 0, 3, 0.25))),
    "ten_seconds": Checkpoints(replace(SMALL, models=1, sources=("speech", "music"), segment=Fraction(10))),
}


def with_long(*quick: str) -> list[object]:
    """The names of BAGS as a test's parameters: all but the `quick` ones are long tests."""
    return [name if name in quick else pytest.param(name, marks=pytest.mark.long) for name in BAGS]


def write_checkpoints(name: str, folder: Path, segment: Fraction | None = None) -> Path:
    """Writes the bag `name` of BAGS into `folder`, which it returns; with `segment` seconds, unless None.

    `python -m export FOLDER --trust-checkpoint` exports it.
    """
    found = BAGS[name]
    bag = found.bag if segment is None else replace(found.bag, segment=segment)
    models = {signature: bag.model(signature) for signature in bag.listing.models}
    save_models(models, found.weights, name, folder, "th")
    return folder


def opened_by_demucs(name: str, folder: Path) -> BagOfModels:
    """What demucs makes of the folder, for `demucs.apply.apply_model`."""
    return get_model(name, repo=folder)


def exported(name: str, factory: pytest.TempPathFactory, segment: Fraction | None = None) -> Path:
    """A folder with the bag `name` of BAGS in `checkpoints`, and exported to `models`; made once a run.

    With `segment` seconds, unless None.
    """

    def make(folder: Path) -> None:
        write_checkpoints(name, folder / "checkpoints", segment)
        export(Request(str(folder / "checkpoints"), trust=True), folder / "models", None, "fp32")

    return once_a_run(factory, f"{name}-{segment}", make)
