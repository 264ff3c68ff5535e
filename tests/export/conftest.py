"""A small HTDemucs of the same class as htdemucs_ft's, exported once a run."""

from pathlib import Path

import pytest

from export.htdemucs.export_bag import export
from export.htdemucs.origin import Request
from export.htdemucs.random_bag import RandomBag
from separation.models.bag import Bag

SMALL = RandomBag(seed=3, hot=True, channels=8, bottom_channels=32, layers=2, heads=2)


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bag]:
    """A model folder with the drums and the vocals of SMALL."""
    folder = tmp_path_factory.mktemp("small")
    return folder, export(Request("random", random=SMALL), folder, ["drums", "vocals"], "fp32")
