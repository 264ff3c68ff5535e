from pathlib import Path

import pytest

from export.htdemucs.random_bag import FORMATS, save_bag
from tests.export.htdemucs.tiny import TINY


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """TINY as a bag called tiny, in both of demucs's formats."""
    root = tmp_path_factory.mktemp("bags")
    for each in FORMATS:
        save_bag(TINY, "tiny", root / each, each)
    return {each: root / each for each in FORMATS}
