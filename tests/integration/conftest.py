"""A real Ray cluster of one node with two CPUs, and the job as a process of its own."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
STORE_BYTES = 1_500_000_000


@pytest.fixture(scope="session")
def ray_cluster(s3_endpoint: str) -> Iterator[dict[str, str]]:
    """The environment in which a job finds the cluster; its workers see the S3 server's settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "PYTHONPATH": os.getcwd(),
    }
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--node-ip-address", "127.0.0.1", "--port", str(port), "--temp-dir", folder),
            *("--num-cpus", "2", "--object-store-memory", str(STORE_BYTES), "--include-dashboard", "false"),
        ]
        log = Path(folder) / "start.log"
        with log.open("w") as output:
            head = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            address = f"127.0.0.1:{port}"
            wait = [sys.executable, "-c", "import ray; ray.init(logging_level='error')"]
            for _ in range(5):
                ready = subprocess.run(wait, env={**environment, "RAY_ADDRESS": address}, capture_output=True)
                if ready.returncode == 0:
                    break
            else:
                raise RuntimeError(f"Ray did not start:\n{log.read_text()}\n{ready.stderr.decode()}")
            yield {**environment, "RAY_ADDRESS": address}
        finally:
            os.killpg(head.pid, signal.SIGKILL)  # all of Ray: asked politely, it takes half a minute
            head.wait()


@pytest.fixture
def separate(ray_cluster: dict[str, str], tmp_path: Path) -> Run:
    """Runs `python -m jobs.separate` to its end, with a cache of its own."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            job_command(tmp_path, *arguments), env=ray_cluster, capture_output=True, text=True, timeout=900
        )

    return run


def job_command(cache: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "jobs.separate", "--cache", str(cache / "cache"), *arguments]
