"""A small HTDemucs of the same class as htdemucs_ft's, exported once a run."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from export.htdemucs.export_bag import export
from export.htdemucs.origin import Request
from export.parity import music_like
from separation.contract import htdemucs_contract
from separation.models.bag import Bag
from separation.models.bag_json import read_bag
from separation.models.graph import Graph
from tests import checkpoints
from tests.conftest import once_a_run
from tests.stores import STORE

ENGINES = ("cpu", "openvino")
SMALL = replace(checkpoints.SMALL, segment=Fraction(3))
CONTRACT = htdemucs_contract(SMALL.segment)


def music(seed: int) -> np.ndarray:
    """A segment of CONTRACT."""
    return music_like(seed, CONTRACT)


def small_graph(path: Path, row: str, provider: str = "cpu", cache: Path | None = None) -> Graph:
    """The graph of CONTRACT at `path` that gives `row` alone."""
    return Graph(path, row, CONTRACT, (row,), provider=provider, threads=1, cache=cache)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small networks gain nothing from more of PyTorch's."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Bag]:
    """A model folder with the drums and the vocals of SMALL."""

    def make(folder: Path) -> None:
        export(Request("random", random=SMALL), folder, ["drums", "vocals"], "fp32")

    folder = once_a_run(tmp_path_factory, "drums_and_vocals", make)
    return folder, read_bag(folder, STORE)
