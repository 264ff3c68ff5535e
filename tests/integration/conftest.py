"""A real Ray cluster of one node with two CPUs, and the job as a process of its own."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from export.htdemucs.export_bag import export
from export.htdemucs.origin import from_origin
from tests.bags import write_gain_bag, write_two_contracts
from tests.conftest import once_a_run
from tests.integration.session import Session, start_session

Run = Callable[..., subprocess.CompletedProcess[str]]
STORE_BYTES = 1_500_000_000
# Small HTDemucs models with hot weights, as the words after `python -m export`: the tests hold for any bag.
SMALL = "random --seed 5 --hot --channels 8 --bottom-channels 16 --layers 1 --heads 1"
LIMIT_S = 300.0  # of what takes seconds: a machine may have other things to do
HANG_S = 1800.0  # after which a program is thought to hang, however slow the machine is
POLL_S = 0.1
TWO = ("--stems", "bass,vocals")  # where more stems would show no more
# Ports of the system's choice; Ray's own defaults are the same for every cluster of a machine.
ANY_PORTS = ("--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0")


@dataclass(frozen=True)
class Cluster:
    """`environment` is that of a process that finds the cluster; `pid` is the head's."""

    environment: dict[str, str]
    pid: int


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that nobody else gets meanwhile, for a gRPC server of ours, which binds with SO_REUSEPORT too.

    This socket never listens, so every connection is the server's.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@contextmanager
def start_cluster(store_bytes: int, gpus: int = 0) -> Iterator[Cluster]:
    """One node with two CPUs, and GPUs in name only, whose workers see this process's S3 settings.

    Ray chooses its ports itself, so that any number of clusters can start at once. The one exception is
    the port of Ray's client server, which may not be 0.
    """
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "PYTHONPATH": os.getcwd(),
    }
    environment.pop("RAY_ADDRESS", None)
    # Ray ends a worker that was idle for a second: on a busy machine it would do little but start others.
    environment.setdefault("RAY_idle_worker_killing_time_threshold_ms", "60000")
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        reserved_port() as client_port,
    ):
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--node-ip-address", "127.0.0.1", "--temp-dir", folder, "--port=0", *ANY_PORTS),
            *("--ray-client-server-port", str(client_port), "--include-dashboard=false"),
            *("--num-cpus=2", "--num-gpus", str(gpus), "--object-store-memory", str(store_bytes)),
        ]
        log = Path(folder) / "start.log"
        with log.open("w") as output:
            head = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            address = Path(folder) / "ray_current_cluster"  # written once the head has started
            wait_until(
                lambda: address.exists() and address.read_text() != "",
                lambda: f"Ray did not start:\n{log.read_text()}",
                alive=head,
            )
            yield Cluster(environment | {"RAY_ADDRESS": address.read_text()}, head.pid)
        finally:
            os.killpg(head.pid, signal.SIGKILL)  # all of Ray: asked politely, it takes half a minute
            head.wait()


def wait_until(
    reached: Callable[[], object],
    message: Callable[[], str],
    limit_s: float = LIMIT_S,
    *,
    poll_s: float = POLL_S,
    alive: "subprocess.Popen[Any] | None" = None,
) -> None:
    """Returns when `reached` is true; fails with `message` after `limit_s`, or when `alive` has ended."""
    until = time.monotonic() + limit_s
    while not reached():
        if alive is not None and alive.poll() is not None:
            if reached():
                return
            pytest.fail(f"the process ended with {alive.returncode}: {message()}")
        if time.monotonic() > until:
            pytest.fail(f"not within {limit_s:.0f} s: {message()}")
        time.sleep(poll_s)  # Ray's workers are nice: asked without a pause, they would hardly run


@pytest.fixture(scope="session")
def ray_cluster(s3_endpoint: str) -> Iterator[dict[str, str]]:
    """The environment in which a job finds the suite's cluster."""
    with start_cluster(STORE_BYTES) as cluster:
        yield cluster.environment


@pytest.fixture(scope="session")
def session(ray_cluster: dict[str, str]) -> Iterator[Session]:
    """Runs programs of `jobs/` one after the other; the workers of one are there for the next."""
    with start_session(ray_cluster, HANG_S) as session:
        yield session


@pytest.fixture
def separate(session: Session, tmp_path: Path) -> Run:
    """Runs `jobs.separate` to its end, with a cache of its own."""
    return partial(session.run, "jobs.separate", "--cache", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The bag of SMALL, exported once a run."""

    def make(folder: Path) -> None:
        export(from_origin(SMALL, trust=False), folder, None, "fp32")

    return str(once_a_run(tmp_path_factory, "small", make))


@pytest.fixture(scope="session")
def two_contracts(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_two_contracts(tmp_path_factory.mktemp("two")))


@pytest.fixture
def any_models(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> str:
    """A model folder for a test that does not know its samples: `models`, or another one by `--bag`."""
    bag = {"gains": "models", "small": "small_models", "two": "two_contracts"}[pytestconfig.getoption("bag")]
    return str(request.getfixturevalue(bag))


def job_command(cache: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "jobs.separate", "--cache", str(cache / "cache"), *arguments]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model folder whose specialists turn the mix up and down."""
    return str(write_gain_bag(tmp_path_factory.mktemp("models")))
