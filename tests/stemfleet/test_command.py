"""The command `stemfleet` lists the programs, imports only the one that it runs, refuses in a sentence."""

import subprocess
import sys

import pytest

from separation import __version__
from stemfleet.__main__ import PROGRAMS, main

LOADED = "import sys; from stemfleet.__main__ import main; code = main(); print(); print(code, *sys.modules)"
OF_THE_CLUSTER = {"ray", "pyarrow", "jinja2", "psutil"}
OF_THE_EXPORT = {"torch", "demucs", "onnx"}


def run(*arguments: str) -> tuple[str, int, set[str]]:
    """What a process prints for the arguments, its exit code, and the top-level packages that it loaded."""
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text, _, last = done.stdout.rstrip().rpartition("\n")
    code, *modules = last.split()
    return text, int(code), {name.partition(".")[0] for name in modules}


def test_the_help_has_a_line_for_each_program_and_loads_none() -> None:
    text, code, loaded = run("--help")
    assert code == 0
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert set(lines) == set(PROGRAMS)
    for name, program in PROGRAMS.items():
        assert lines[name].endswith(program.summary) and len(lines[name]) <= 80
    assert not loaded & {*OF_THE_CLUSTER, *OF_THE_EXPORT, "numpy", "jobs", "export", "band"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_help_of_a_program_loads_no_other(name: str) -> None:
    text, code, loaded = run(name, "--help")
    assert code == 0
    assert text.startswith(f"usage: stemfleet {name} ")
    packages = {"jobs", "export", "band", "stemfleet"}
    assert not loaded & (packages - {PROGRAMS[name].module.partition(".")[0], "stemfleet"})
    assert not loaded & {*OF_THE_CLUSTER, *OF_THE_EXPORT}


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"stemfleet {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["seperate", "a.wav"], "there is no command 'seperate'; did you mean separate?"),
        (["Report"], "there is no command 'Report'; did you mean report?"),
        (["benchmarks"], "there is no command 'benchmarks'; did you mean benchmark?"),
        (["song"], "there is no command 'song'; did you mean songs?"),
        (["xyz"], f"there is no command 'xyz'; expected one of {', '.join(PROGRAMS)}"),
        (["\x1b[2J"], f"there is no command '\\x1b[2J'; expected one of {', '.join(PROGRAMS)}"),
        ([], f"no command; expected one of {', '.join(PROGRAMS)}"),
    ],
)
def test_another_word_is_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err == f"error: {sentence} (see stemfleet --help)\n"
    assert said.out == ""


def test_arguments_and_exit_code_are_the_program_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["separate", "a.wav", "--models", "none", "--out", "out"]) == 2
    assert "none/bag.json: not found" in capsys.readouterr().err
