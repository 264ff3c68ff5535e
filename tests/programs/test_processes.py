"""The programs as processes: output to a pipe, packages that are not installed, Ctrl-C while they work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from separation import __version__

PROGRAMS = (
    "separation",
    "jobs.separate",
    "jobs.benchmark",
    "jobs.evaluate",
    "jobs.report",
    "jobs.verify",
    "export",
    "export.training",
    "band",
)
OPTIONAL = (
    *("ray", "pyarrow", "jinja2", "psutil"),
    *("torch", "demucs", "onnx", "safetensors", "yaml", "onnxruntime", "openvino"),
)
LIMIT_S = 600  # for a hang: the machine may have other things to do


def run_without(packages: tuple[str, ...], code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python code in a process in which `packages` cannot be imported."""
    blocked = f"import sys; sys.modules.update(dict.fromkeys({packages!r})); "
    command = [sys.executable, "-c", blocked + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_line_is_not_wrapped_for_a_pipe(program: str) -> None:
    option = "--" + "no-such-option-" * 12
    done = subprocess.run(
        [sys.executable, "-m", program, option],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert option in done.stderr and f"python -m {program}" in done.stderr
    assert not done.stdout


def test_a_reader_that_closes_the_pipe_ends_a_program_without_a_word() -> None:
    """As `head` does. The exit code is not 1, which would say that the work ran to its end."""
    code = (
        "import sys\n"
        "from separation import program\n"
        "def work(args, quiet):\n"
        "    for _ in range(100_000): print('a line', flush=True)\n"
        "    return 0\n"
        "sys.exit(program.run(lambda prog: program.Parser(prog=prog), work, [], 'many'))\n"
    )
    many = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert many.stdout and many.stderr
    assert many.stdout.readline() == "a line\n"
    many.stdout.close()
    assert many.stderr.read() == ""
    assert many.wait(LIMIT_S) == 2


def test_help_versions_and_typos_need_no_optional_package() -> None:
    code = (
        "import importlib\n"
        f"for name in {PROGRAMS!r}:\n"
        "    main = importlib.import_module(name + '.__main__').main\n"
        "    codes = [main([option]) for option in ('--help', '--version', '--no-such-option')]\n"
        "    assert codes == [0, 0, 2], (name, codes)\n"
        "for name in ('bag', 'verify', 'bench'):\n"
        "    assert importlib.import_module('export.__main__').main([name, '--help']) == 0\n"
    )
    done = run_without(OPTIONAL, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"stemfleet {__version__}") == len(PROGRAMS)
    assert done.stderr.count("error: ") == done.stderr.count("\n") == len(PROGRAMS)


@pytest.mark.parametrize(
    ("program", "package", "line", "extra"),
    [
        ("separation", "onnxruntime", "@song --models @models --out @out", "cpu"),
        ("separation", "openvino", "@song --models @models --out @out --provider openvino", "openvino"),
        ("jobs.separate", "ray", "--input @songs --output @out --models @models", "cluster"),
        ("jobs.separate", "pyarrow", "--input @songs --output @out --models @models", "cluster"),
        ("jobs.benchmark", "ray", "--output @out --models @models", "cluster"),
        ("jobs.evaluate", "ray", "--reference @songs --estimates @songs", "cluster"),
        ("jobs.report", "jinja2", "--output @used", "cluster"),
        ("jobs.verify", "psutil", "--output @used", "cluster"),
        ("export", "torch", "random --out @out", "export"),
        ("export", "demucs", "verify @models", "export"),
        ("export.training", "torch", "--out @out", "export"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    program: str, package: str, line: str, extra: str, things: dict[str, str], tmp_path: Path
) -> None:
    things = {**things, "out": f"{tmp_path}/out"}
    words = [things[word[1:]] if word.startswith("@") else word for word in line.split()]
    code = f"import runpy; runpy.run_module({program!r}, run_name='__main__')"
    done = run_without((package,), code, *words)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert package in done.stderr and f"pip install 'stemfleet[{extra}]'" in done.stderr
    assert not Path(things["out"]).exists()


def interrupted(program: str, *arguments: str, when: Callable[[int], object], path: str = "") -> str:
    """Ctrl-C for the program and its children once `when`, given its pid, says that it works; its stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", program, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=listens_to_ctrl_c,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, os.getcwd()]))},
    )
    try:
        until = time.monotonic() + LIMIT_S
        while not when(process.pid):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until, "the program does not get to work"
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    return err


def listens_to_ctrl_c() -> None:
    """A shell that starts the tests in the background has them, and their children, ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


STOPPED = "stopped; run the same command again\n"


def waits_for_a_writer(pid: int) -> bool:
    """Whether a thread of the process opens a named pipe: it waits for somebody to write into it.

    The kernel says so. A test that opened the pipe to find out would let the process go on.
    """
    return any(
        (thread / "wchan").read_text() == "wait_for_partner" for thread in Path(f"/proc/{pid}/task").iterdir()
    )


@pytest.mark.parametrize(
    ("program", "line", "pipe"),
    [
        ("jobs.separate", "--input @pipe/x.csv --output @out --models @models", "x.csv"),
        ("jobs.benchmark", "--input @pipe/x.csv --output @out --models @models", "x.csv"),
        ("jobs.verify", "--input @pipe/x.csv --output @out", "x.csv"),
        ("jobs.evaluate", "--reference @songs --estimates @pipe", "run.json"),
        ("jobs.report", "--output @pipe", "run.json"),
        ("export", "@pipe --out @out", "x.yaml"),
    ],
)
def test_ctrl_c(program: str, line: str, pipe: str, things: dict[str, str], tmp_path: Path) -> None:
    for name, path in {**things, "pipe": str(tmp_path)}.items():
        line = line.replace(f"@{name}", path)
    os.mkfifo(tmp_path / pipe)
    assert interrupted(program, *line.split(), when=waits_for_a_writer) == STOPPED


def test_ctrl_c_while_ray_is_imported(things: dict[str, str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "ray.py").write_text(f"open({str(tmp_path / 'pipe')!r})\n")
    line = ["--input", things["songs"], "--output", things["out"], "--models", things["models"]]
    assert interrupted("jobs.separate", *line, when=waits_for_a_writer, path=str(tmp_path)) == STOPPED


def test_ctrl_c_between_two_tracks(things: dict[str, str], tmp_path: Path) -> None:
    """The decoder is a process of its own and gets the signal too."""
    songs = [tmp_path / f"{number}.wav" for number in range(200)]
    for song in songs:
        song.symlink_to(things["song"])
    out = tmp_path / "out"
    arguments = [*map(str, songs), "--models", things["models"], "--out", str(out)]
    err = interrupted("separation", *arguments, when=lambda pid: [*out.rglob("*.wav")])
    assert err.endswith(STOPPED) and len([*out.iterdir()]) < len(songs)


def test_ctrl_c_between_two_songs(tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path), "--tracks", "500"]
    assert interrupted("band", *arguments, when=lambda pid: [*tmp_path.rglob("*.wav")]) == STOPPED
