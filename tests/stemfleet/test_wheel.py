"""The wheel: all that its programs need, nothing of the tests, and it runs where it is installed."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from packaging.requirements import Requirement

from separation import __version__
from stemfleet.__main__ import PROGRAMS
from tests.bags import FOUR_STEMS

ROOT = Path(__file__).parents[2]
PACKAGES = ("band", "export", "jobs", "separation", "stemfleet")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tree, without a network."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    for package in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", BUILD, str(built)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = built.iterdir()
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel alone in a folder of its own."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True)
    return target


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with packages that have our names, none of which may be imported, and a song."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in (*PACKAGES, "demo"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise ImportError('of another project')\n")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (22_050, 1))
    soundfile.write(folder / "song.flac", noise, 22_050)
    return folder


def stemfleet(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed command's own script."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [str(installed / "bin/stemfleet"), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_it_holds_the_packages_whole_and_nothing_else(wheel: Path) -> None:
    files = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    expected = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert found == expected
    for name in (
        "band/bag/bag.json",
        "band/bag/vocals.onnx",
        "band/checkpoints/band_ft.yaml",
        "jobs/pipeline/cost/prices.json",
        "jobs/report/page/page.css",
        "jobs/report/page/page.html",
        "jobs/report/page/tracks.js",
        "separation/py.typed",
        "stemfleet/py.typed",
    ):
        assert name in found


def test_it_asks_for_ray_and_torch_only_by_an_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == __version__
    required = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]

    def of(extra: str) -> set[str]:
        return {each.name for each in required if not each.marker or each.marker.evaluate({"extra": extra})}

    assert {"numpy", "soundfile"} <= of("") and "onnxruntime" in of("cpu")
    for heavy, extra in {"ray": "cluster", "pyarrow": "cluster", "torch": "export"}.items():
        assert heavy in of(extra)
        assert heavy not in of("cpu") | of("gpu") | of("openvino")


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_tells_its_options(installed: Path, elsewhere: Path, name: str) -> None:
    done = stemfleet(installed, elsewhere, name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: stemfleet {name} ")


def test_a_song_is_separated_by_the_demonstration_model(
    installed: Path, elsewhere: Path, tmp_path: Path
) -> None:
    done = stemfleet(
        installed, elsewhere, "separate", "song.flac", "--models", "demo", "--out", str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    files = list((tmp_path / "song.flac").iterdir())
    assert {file.name for file in files} == {f"{stem}.wav" for stem in FOUR_STEMS}
    assert all(soundfile.info(file).frames == 44_100 for file in files)


def test_it_is_the_installed_package_that_ran(installed: Path, elsewhere: Path) -> None:
    code = "import stemfleet, separation, sys; print(stemfleet.__file__, separation.__file__)"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=True)
    assert [Path(path).parents[1] for path in re.split(r"\s+", done.stdout.strip())] == [installed] * 2
