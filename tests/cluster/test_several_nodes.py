"""The commands of "Several nodes on one machine", as they stand: nodes, a job, and nothing left."""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cluster.conftest import ROOT

PAGE = (ROOT / "docs/local.md").read_text()
LIMIT_S, STOP_LIMIT_S = 900, 120  # both take seconds: a machine may have other things to do
TEMPORARY = "/tmp"  # Ray's sockets have long names
RAY_FILES = Path(TEMPORARY) / "several-nodes"  # as the commands name it
COPIED = ("band", "export", "jobs", "separation", "pyproject.toml", "README.md", ".gitignore")


@pytest.fixture(scope="module")
def alone() -> Iterator[None]:
    """The commands name their ports and Ray's folder: two runs of the tests on a machine take turns."""
    with RAY_FILES.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def session(alone: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A copy of the repository after the commands ran in it, and what they printed."""
    root = tmp_path_factory.mktemp("repository")
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, root / name)
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (commands,) = [block for block in blocks if "ray start" in block]
    mine = {name: text for name, text in os.environ.items() if not name.startswith(("RAY_", "PYTHON"))}
    environment = mine | {
        "HOME": str(root / "home"),  # no token and no cluster of the user's is touched
        "TMPDIR": TEMPORARY,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    (root / "home").mkdir()
    shell = subprocess.Popen(
        ["bash", "-ec", commands],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = shell.communicate(timeout=LIMIT_S)
        until = time.monotonic() + STOP_LIMIT_S
        while (left := alive(shell.pid, root)) and time.monotonic() < until:
            time.sleep(0.5)
    finally:
        for pid in alive(shell.pid, root):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        logs = "\n".join(log.read_text()[-1500:] for log in (root / "demo/nodes").glob("*.log"))
        shutil.rmtree(RAY_FILES, ignore_errors=True)
    assert shell.returncode in (0, 128 + signal.SIGTERM), f"{output}\n{logs}"
    assert left == {}
    yield root / "demo/nodes", output


def alive(leader: int, root: Path) -> dict[int, str]:
    """Processes of the shell's session, and any other that names the copy, such as a job's driver."""
    command = ["ps", "-A", "-o", "pid=,sess=,stat=,args="]
    rows = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = {}
    for pid, session, state, *args in (row.split(maxsplit=3) for row in rows):
        if state[0] != "Z" and (int(session) == leader or str(root) in " ".join(args)):
            found[int(pid)] = " ".join(args)
    return found


def test_all_tracks_are_done(session: tuple[Path, str]) -> None:
    folder, output = session
    assert "tracks done 3 of 3" in output
    assert "Job 'three-tracks' succeeded" in output
    tracks = pq.read_table(folder / "output/tracks").to_pylist()
    assert [track["status"] for track in tracks] == ["ok"] * 3
    for track in tracks:
        assert (folder / "output/stems" / track["track_id"] / "vocals.wav").stat().st_size > 44


def test_the_plan_was_that_of_two_nodes_before_the_second_came(session: tuple[Path, str]) -> None:
    assert "pools: 2 actors per graph, each 4 threads and 3 CPU, on cpu" in session[1]
