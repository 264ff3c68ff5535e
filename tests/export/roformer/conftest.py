"""The tiny networks of `networks`, exported once a run."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from export.msst.request import export
from tests.export.roformer.networks import BS, MEL, Network


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks gain nothing from more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Network, Path]:
    """Of each network, a folder with its files in `checkpoints`, and its graph in `models`."""
    found = {}
    for network in (MEL, BS):
        found[network] = folder = tmp_path_factory.mktemp(network.sizes.network)
        export(network.write(folder / "checkpoints"), folder / "models", None, "fp32")
    return found
