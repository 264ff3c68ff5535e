"""A tiny bag of four specialists, and bags like it."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import yaml

from export.htdemucs.bag_model import BagModel
from export.htdemucs.checkpoints import open_bag
from tests.checkpoints import SMALL

TINY = replace(SMALL, layers=1, segment=Fraction(1))


def opened(bag: object, repo: Path | None = None, trust: bool = False) -> list[BagModel]:
    return list(open_bag(str(bag), repo, trust))


def copied(folder: Path, target: Path, **listing: object) -> Path:
    """The bag with another listing."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).symlink_to(path)
    (target / "tiny.yaml").unlink()
    content = yaml.safe_load((folder / "tiny.yaml").read_text())
    (target / "tiny.yaml").write_text(yaml.safe_dump(content | listing))
    return target
