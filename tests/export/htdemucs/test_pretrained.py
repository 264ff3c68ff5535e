"""Bags by demucs's names: what has to be there, and what is fetched."""

import os
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from export.htdemucs import pretrained
from export.htdemucs.arguments import SOURCES
from export.htdemucs.random_bag import save_bag
from separation.errors import ModelError
from tests.export.htdemucs.tiny import TINY, copied, opened


def test_what_is_missing_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="found none"):
        opened(tmp_path)
    folder = copied(folders["safetensors"], tmp_path / "bag", models=["drums", "bass", "other", "f7e0c4bc"])
    with pytest.raises(ModelError, match=r"f7e0c4bc-ba3fe64a\.th  sha256 ba3fe64ae8ef66ac"):
        opened(folder)
    with pytest.raises(ModelError, match=r"neither a folder nor a bag .*htdemucs_6s, htdemucs_ft"):
        opened("htdemucs_fine")
    with pytest.raises(
        ModelError, match=r"no checkpoint of 5c90dfd2.*5c90dfd2-34c22ccb\.th  sha256 34c22ccb"
    ):
        opened("htdemucs_6s", repo=tmp_path)


@pytest.mark.parametrize("name", ["mdx_extra", "hdemucs_mmi", "repro_mdx_a"])
def test_other_bags_of_demucs_are_refused_before_a_download(name: str, tmp_path: Path) -> None:
    for repo in (None, tmp_path):
        with pytest.raises(ModelError, match="not HTDemucs; supported: htdemucs, htdemucs_6s, htdemucs_ft"):
            opened(name, repo)


@pytest.mark.parametrize("name", pretrained.NAMES)
def test_offline_the_files_are_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server answers at a closed port, whichever network the test runs in."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "_opener", None)  # made at first use, with the proxies of that moment
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")
    with pytest.raises(ModelError) as caught:
        opened(name)
    files = {
        "htdemucs": ["955717e8-8726e21a.th  sha256 8726e21a..."],
        "htdemucs_6s": ["5c90dfd2-34c22ccb.th  sha256 34c22ccb..."],
        "htdemucs_ft": [
            f"{signature}-{sha256[:8]}.th  sha256 {sha256}" for signature, sha256 in pretrained.SHA256.items()
        ],
    }
    for file in files[name]:
        assert file in str(caught.value)
    assert "--repo" in str(caught.value)


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint in torch's cache as if demucs's list named it for htdemucs: no test asks its server."""
    save_bag(replace(TINY, models=1), "one", tmp_path / "saved", "th")
    (saved,) = (tmp_path / "saved").glob("*.th")
    name = saved.name.replace("model_1", "955717e8")
    cached = tmp_path / "hub/checkpoints" / name
    cached.parent.mkdir(parents=True)
    saved.rename(cached)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setitem(pretrained.URLS, "955717e8", f"https://127.0.0.1:9/{name}")
    return cached


def test_a_download_is_opened_by_its_eight_digits(downloaded: Path, tmp_path: Path) -> None:
    (model,) = opened("htdemucs")
    assert (model.name, model.weights) == ("htdemucs", dict.fromkeys(SOURCES, 1.0))
    digits = downloaded.stem.rpartition("-")[2]
    assert model.checkpoint.sha256.startswith(digits) and len(model.checkpoint.sha256) == 64
    assert "scientific purposes" in model.checkpoint.licence.weights

    with pytest.raises(ModelError, match="--trust-checkpoint"):  # the same file out of any other folder
        opened("htdemucs", repo=downloaded.parent)
    downloaded.write_bytes(downloaded.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9"):  # fetched again
        opened("htdemucs")


@pytest.mark.parametrize("which", ["file", "folder"])
def test_a_cache_that_everybody_can_write_to_is_not_a_download(downloaded: Path, which: str) -> None:
    path = downloaded if which == "file" else downloaded.parent
    os.chmod(path, path.stat().st_mode | 0o002)
    with pytest.raises(ModelError, match="--trust-checkpoint"):
        opened("htdemucs")
