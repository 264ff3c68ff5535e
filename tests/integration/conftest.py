"""A real Ray cluster of one node with two CPUs, and the job as a process of its own."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from export.htdemucs.export_bag import export
from export.htdemucs.origin import Request
from export.htdemucs.random_bag import RandomBag
from tests.bags import write_gain_bag

Run = Callable[..., subprocess.CompletedProcess[str]]
STORE_BYTES = 1_500_000_000


@dataclass(frozen=True)
class Cluster:
    """`environment` is that of a process that finds the cluster; `pid` is the head's."""

    environment: dict[str, str]
    pid: int


@contextmanager
def start_cluster(store_bytes: int, gpus: int = 0) -> Iterator[Cluster]:
    """One node with two CPUs, and GPUs in name, whose workers see this process's S3 settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ADDRESS": f"127.0.0.1:{port}",
        "PYTHONPATH": os.getcwd(),
    }
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--node-ip-address", "127.0.0.1", "--port", str(port), "--temp-dir", folder),
            *(
                "--num-cpus",
                "2",
                "--num-gpus",
                str(gpus),
                "--object-store-memory",
                str(store_bytes),
                "--include-dashboard",
                "false",
            ),
        ]
        log = Path(folder) / "start.log"
        start = {name: value for name, value in environment.items() if name != "RAY_ADDRESS"}
        with log.open("w") as output:
            head = subprocess.Popen(command, env=start, stdout=output, stderr=output, start_new_session=True)
        try:
            wait = [sys.executable, "-c", "import ray; ray.init(logging_level='error')"]
            for _ in range(5):
                ready = subprocess.run(wait, env=environment, capture_output=True)
                if ready.returncode == 0:
                    break
            else:
                raise RuntimeError(f"Ray did not start:\n{log.read_text()}\n{ready.stderr.decode()}")
            yield Cluster(environment, head.pid)
        finally:
            os.killpg(head.pid, signal.SIGKILL)  # all of Ray: asked politely, it takes half a minute
            head.wait()


@pytest.fixture(scope="session")
def ray_cluster(s3_endpoint: str) -> Iterator[dict[str, str]]:
    """The environment in which a job finds the suite's cluster."""
    with start_cluster(STORE_BYTES) as cluster:
        yield cluster.environment


@pytest.fixture
def separate(ray_cluster: dict[str, str], tmp_path: Path) -> Run:
    """Runs `python -m jobs.separate` to its end, with a cache of its own."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            job_command(tmp_path, *arguments), env=ray_cluster, capture_output=True, text=True, timeout=900
        )

    return run


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bag of small HTDemucs models with hot weights."""
    folder = tmp_path_factory.mktemp("small")
    small = RandomBag(seed=1, hot=True, channels=8, bottom_channels=16, layers=1, heads=1)
    export(Request("random", random=small), folder, None, "fp32")
    return str(folder)


@pytest.fixture
def any_models(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> str:
    """A model folder for a test that does not know its samples: `models`, or `--bag small`."""
    bag = {"gains": "models", "small": "small_models"}[pytestconfig.getoption("bag")]
    return str(request.getfixturevalue(bag))


def job_command(cache: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "jobs.separate", "--cache", str(cache / "cache"), *arguments]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model folder whose specialists turn the mix up and down."""
    return str(write_gain_bag(tmp_path_factory.mktemp("models")))
