"""The small networks of `networks`, exported once a run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from export.msst.request import export
from tests.export.scnet.networks import MASKED, SMALL, Network


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks gain nothing from more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def exported(network: Network, folder: Path) -> Path:
    request = network.write(folder / "checkpoints")
    export(request, folder / "models", None, "fp32")
    return folder


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SMALL's files in `checkpoints`, and its graph in `models`."""
    return exported(SMALL, tmp_path_factory.mktemp("scnet"))


@pytest.fixture(scope="session")
def masked_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MASKED's, likewise."""
    return exported(MASKED, tmp_path_factory.mktemp("masked"))


@pytest.fixture
def folders(small_folder: Path, masked_folder: Path) -> dict[Network, Path]:
    return {SMALL: small_folder, MASKED: masked_folder}
