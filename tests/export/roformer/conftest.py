"""The tiny networks of `networks`, exported once a run."""

from pathlib import Path

import pytest

from tests.export.roformer.networks import BS, MEL, Network


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Network, Path]:
    """Of each network, a folder with its files in `checkpoints`, and its graph in `models`."""
    return {each: each.exported(tmp_path_factory.mktemp(each.sizes.network)) for each in (MEL, BS)}
