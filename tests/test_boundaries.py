"""Who may import what (docs: the boundaries in README): a job node has no torch, a laptop needs no Ray."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

import jobs
import separation
from separation.contract import STEMS
from tests.bags import write_gain_bag

EXPORT_ONLY = ("torch", "demucs", "onnx")


def modules(package: object) -> list[str]:
    name, path = package.__name__, package.__path__  # type: ignore[attr-defined]
    found = [module.name for module in pkgutil.walk_packages(path, f"{name}.")]
    return [name, *(module for module in found if not module.endswith("__main__"))]


def loaded(names: list[str]) -> set[str]:
    """The top-level packages that a process holds once it has imported `names`."""
    code = f"import importlib, sys; [importlib.import_module(n) for n in {names!r}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_separation_and_jobs_load_nothing_of_the_export() -> None:
    assert len(modules(separation)) > 15
    assert len(modules(jobs)) > 10
    held = loaded([*modules(separation), *modules(jobs)])
    assert "ray" in held
    assert not held & {*EXPORT_ONLY, "export", "band"}


def test_separation_loads_no_ray() -> None:
    assert not loaded(modules(separation)) & {"ray", "jobs"}


@pytest.mark.parametrize("arguments", [[], ["--two-stems", "vocals"]])
def test_a_file_is_separated_where_the_export_is_not_installed(tmp_path: Path, arguments: list[str]) -> None:
    models = write_gain_bag(tmp_path / "models")
    soundfile.write(tmp_path / "a.wav", [[0.1, 0.2]] * 44_100, 44_100)
    blocked = f"import sys; sys.modules.update(dict.fromkeys({EXPORT_ONLY!r})); "
    run = "import runpy; runpy.run_module('separation', run_name='__main__')"
    command = [sys.executable, "-c", blocked + run, str(tmp_path / "a.wav"), "--models", str(models)]
    subprocess.run([*command, "--out", str(tmp_path / "out"), *arguments], check=True)
    names = {path.stem for path in (tmp_path / "out/a.wav").iterdir()}
    assert names == ({"vocals", "no_vocals"} if arguments else set(STEMS))
