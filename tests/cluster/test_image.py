"""The image can be built from this tree: what can be known of it without Docker."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.cluster.conftest import CLUSTER, ROOT

DOCKERFILE = CLUSTER / "image/Dockerfile"
TEXT = DOCKERFILE.read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
(JOB,) = re.findall(r'python -c "(import jobs[^"]+)"', TEXT)  # what the build tries
COPIED = [word for line in re.findall(r"^COPY (.+)$", TEXT, re.MULTILINE) for word in line.split()[:-1]]


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True)
    assert (found.stdout, found.returncode) == ("", 0)


def test_its_python_is_one_that_the_package_takes() -> None:
    (version,) = re.findall(r"^ARG BASE=python:([0-9.]+)-", TEXT, re.MULTILINE)
    assert version in SpecifierSet(PROJECT["requires-python"])
    assert version == "3.11"  # Ray wants the same on every node, and on the machine that submits


def test_its_extras_exist() -> None:
    used = set(re.findall(r"EXTRA=(\w+)", TEXT))
    assert used == {"cpu", "gpu"} <= set(PROJECT["optional-dependencies"])


def test_it_brings_ray() -> None:
    assert 'pip install --no-cache-dir ".[${EXTRA},cluster]"' in TEXT
    assert "ray" in {Requirement(text).name for text in PROJECT["optional-dependencies"]["cluster"]}


def test_its_gpu_extra_brings_cuda() -> None:
    (runtime,) = map(Requirement, PROJECT["optional-dependencies"]["gpu"])
    assert (runtime.name, runtime.extras) == ("onnxruntime-gpu", {"cuda", "cudnn"})


def test_what_it_copies_is_sent_to_docker_and_holds_the_job(tmp_path: Path) -> None:
    """.dockerignore lets exactly the copied files through, and the job needs no other."""
    rules = (ROOT / ".dockerignore").read_text().split()
    assert rules[0] == "*"
    assert [rule.removeprefix("!") for rule in rules if rule.startswith("!")] == COPIED
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for words in (["-m", "stemfleet", "run", "--help"], ["-m", "jobs.separate", "--help"], ["-c", JOB]):
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert "--input" in done.stdout or words[0] == "-c", done.stderr
        assert done.returncode == 0, done.stderr


def test_every_image_in_use_is_one_that_it_builds() -> None:
    tags = set(re.findall(r"-t stemfleet:(\w+)", TEXT))
    files = [*CLUSTER.glob("launcher/*.yaml"), *CLUSTER.glob("kuberay/*.yaml"), ROOT / "docs/aws.md"]
    used = {tag for file in files for tag in re.findall(r"/stemfleet:(\w+)", file.read_text())}
    assert used == tags
