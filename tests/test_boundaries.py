"""Who may import what (docs/architecture.md, "Packages"): a job node has no torch, a laptop no Ray."""

import ast
import pkgutil
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import soundfile
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import jobs
import separation
import stemfleet
from tests.bags import FOUR_STEMS, write_gain_bag

ROOT = Path(__file__).parents[1]
EXPORT_ONLY = ("torch", "demucs", "onnx", "pymss_core")
CLUSTER_ONLY = ("ray", "pyarrow", "jinja2", "psutil")
# Package of ours -> those of ours that it may import. stemfleet imports a program by name, when it runs it.
MAY_IMPORT = {
    "band": {"band", "separation"},
    "cluster": set(),
    "export": {"export", "band", "separation"},
    "jobs": {"jobs", "band", "separation"},
    "separation": {"separation"},
    "stemfleet": {"stemfleet", "separation"},
}
FOLDERS = (*MAY_IMPORT, "scripts")
# Package of others -> the only folders that may import it.
ONLY_IN = {
    "ray": {"cluster", "jobs", "scripts"},  # of cluster/, a policy that Ray's autoscaler loads
    **{name: {"export"} for name in EXPORT_ONLY},
}
# Package of ours -> the extras that an installation needs for it.
EXTRAS = {"band": (), "separation": (), "stemfleet": (), "jobs": ("cluster",), "export": ("export",)}
ENGINES = {"onnxruntime", "openvino"}  # whichever is installed: the extras cpu, gpu, openvino
OF_HTDEMUCS = {"SAMPLE_RATE", "SEGMENT", "STRIDE", "MAX_SHIFT", "STEMS"}
BROUGHT_BY = {"botocore": "s3fs", "markupsafe": "jinja2"}  # imported, and of a version that the other decides


def modules(package: object) -> list[str]:
    name, path = package.__name__, package.__path__  # type: ignore[attr-defined]
    found = [module.name for module in pkgutil.walk_packages(path, f"{name}.")]
    return [name, *(module for module in found if not module.endswith("__main__"))]


def loaded(names: list[str]) -> set[str]:
    """The top-level packages that a process holds once it has imported `names`."""
    code = f"import importlib, sys; [importlib.import_module(n) for n in {names!r}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@cache
def imports(folder: str) -> set[tuple[Path, str]]:
    """Each file below the folder with each top-level package that it imports, wherever in the file."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {(path, alias.name.partition(".")[0]) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                found.add((path, (node.module or "").partition(".")[0]))
    assert found
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_our_packages_import_one_way(package: str) -> None:
    forbidden = MAY_IMPORT.keys() - MAY_IMPORT[package]
    wrong = [(path, name) for path, name in imports(package) if name in forbidden]
    assert not wrong


@pytest.mark.parametrize("package", ONLY_IN)
def test_what_is_imported_in_its_folders_alone(package: str) -> None:
    users = {folder for folder in FOLDERS if package in {name for _, name in imports(folder)}}
    assert users <= ONLY_IN[package]
    assert users & {"export", "jobs"}


@pytest.mark.parametrize("package", EXTRAS)
def test_the_dependencies_and_extras_bring_what_is_imported(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"]]
    for extra in EXTRAS[package]:
        needed += project["optional-dependencies"][extra]
    declared = {canonicalize_name(Requirement(text).name) for text in needed}
    assert ("ray" in declared) == (package == "jobs")
    distributions = packages_distributions()
    others = {name for _, name in imports(package)} - sys.stdlib_module_names - MAY_IMPORT.keys() - ENGINES
    for name in others:
        name = BROUGHT_BY.get(name, name)
        assert declared & {canonicalize_name(each) for each in distributions[name]}, name


def test_separation_and_jobs_load_nothing_of_the_export() -> None:
    assert len(modules(separation)) > 15
    assert len(modules(jobs)) > 10
    held = loaded([*modules(separation), *modules(jobs)])
    assert "ray" in held
    assert not held & {*EXPORT_ONLY, "export", "band"}


def test_separation_loads_no_ray() -> None:
    held = loaded([*modules(separation), *modules(stemfleet)])
    assert not held & {*CLUSTER_ONLY, *EXPORT_ONLY, "band", "export", "jobs"}


@pytest.mark.parametrize("arguments", [[], ["--two-stems", "vocals"]])
def test_a_file_is_separated_where_the_export_is_not_installed(tmp_path: Path, arguments: list[str]) -> None:
    """Nor what the cluster needs."""
    models = write_gain_bag(tmp_path / "models")
    soundfile.write(tmp_path / "a.wav", [[0.1, 0.2]] * 44_100, 44_100)
    blocked = f"import sys; sys.modules.update(dict.fromkeys({EXPORT_ONLY + CLUSTER_ONLY!r})); "
    run = "import runpy; runpy.run_module('separation', run_name='__main__')"
    command = [sys.executable, "-c", blocked + run, str(tmp_path / "a.wav"), "--models", str(models)]
    subprocess.run([*command, "--out", str(tmp_path / "out"), *arguments], check=True)
    names = {path.stem for path in (tmp_path / "out/a.wav").iterdir()}
    assert names == ({"vocals", "no_vocals"} if arguments else set(FOUR_STEMS))


def named_in(path: Path) -> set[str]:
    """What a file imports from ours, or assigns at its top level, by name."""
    tree, found = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MAY_IMPORT:
            found |= {alias.name for alias in node.names}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return found


def test_no_module_but_htdemucs_s_own_has_its_numbers() -> None:
    """They are in a bag's contracts; `separation.contract` has `HTDEMUCS`, for bags that state none."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    others = (path for path in files if not path.is_relative_to(ROOT / "export/htdemucs"))
    left = {str(path.relative_to(ROOT)): sorted(named_in(path) & OF_HTDEMUCS) for path in others}
    assert {path: names for path, names in left.items() if names} == {}


def test_what_a_file_imports_and_assigns_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("from band.rate import RATE_HZ, X as Y\nSEGMENT: int = 3\nA, STRIDE = B = 1, 2\n")
    assert named_in(path) == {"RATE_HZ", "X", "SEGMENT", "A", "STRIDE", "B"}


def test_a_file_is_decoded_in_the_decoder_process_alone() -> None:
    """`reading` and `decoders` are for the child; an array in memory (`mixes`) needs no decoder."""
    theirs = re.compile(r"separation\.audio\.(?:reading|decoders|headers)\b|^import av\b", re.MULTILINE)
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    users = {str(path.relative_to(ROOT)) for path in files if theirs.search(path.read_text())}
    assert {user for user in users if not re.match(r"separation/audio/(decoders|headers)/", user)} == {
        "separation/audio/decoder_process/server.py",
        "separation/audio/mixes.py",
        "separation/audio/reading.py",
    }
    assert "open_audio" not in (ROOT / "separation/audio/mixes.py").read_text()
