"""The small networks of `networks`, exported once a run."""

from pathlib import Path

import pytest

from tests.export.scnet.networks import MASKED, SMALL, Network


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SMALL's files in `checkpoints`, and its graph in `models`."""
    return SMALL.exported(tmp_path_factory.mktemp("scnet"))


@pytest.fixture(scope="session")
def masked_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MASKED's, likewise."""
    return MASKED.exported(tmp_path_factory.mktemp("masked"))


@pytest.fixture
def folders(small_folder: Path, masked_folder: Path) -> dict[Network, Path]:
    return {SMALL: small_folder, MASKED: masked_folder}
