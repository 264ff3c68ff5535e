import itertools
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from jobs.report import run as report
from separation.store.filesystems import S3_SETTINGS
from tests.outputs import Row, write_output

COUNTER = itertools.count()
# Two that have nothing in common: moto keeps all in memory, localbucket in folders.
SERVERS = {
    "moto": ("moto.server", "-H", "127.0.0.1", "-p"),
    "localbucket": ("localbucket", "data", "--host", "127.0.0.1", "--port"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--s3", choices=tuple(SERVERS), default="moto", help="the S3 server of the tests")
    parser.addoption(
        "--bag",
        choices=("gains", "small"),
        default="gains",
        help="of tests that hold with any: free, or real",
    )


@pytest.fixture(scope="session")
def s3(pytestconfig: pytest.Config) -> str:
    """Which of SERVERS the tests run on."""
    return str(pytestconfig.getoption("s3"))


@pytest.fixture(scope="session")
def s3_endpoint(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server on a free loopback port, and the environment that leads to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-u", "-m", *SERVERS[s3], port]
    server = subprocess.Popen(
        command,
        cwd=tmp_path_factory.mktemp("s3"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout is not None
    try:
        seen = ""
        for line in server.stdout:
            seen += line
            if found := re.search(rf"http://127\.0\.0\.1:{port}", line):
                break
        else:
            raise RuntimeError(f"the S3 server ended before it listened:\n{seen}")
        threading.Thread(target=server.stdout.read, daemon=True).start()  # a full pipe would stop it
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", found[0])
            patch.setenv("AWS_ACCESS_KEY_ID", "test-key")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            yield found[0]
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def bucket(s3_endpoint: str) -> str:
    """A fresh bucket, as `s3://name`."""
    name = f"bucket-{next(COUNTER)}"
    fsspec.filesystem("s3", **S3_SETTINGS).call_s3("create_bucket", Bucket=name)
    return f"s3://{name}"


@pytest.fixture(scope="session")
def full_output(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    """An output of 200 tracks, a ninth of them in error, under hostile names; and its rows."""
    folder = tmp_path_factory.mktemp("outputs") / "full"
    return folder, write_output(folder)


@pytest.fixture(scope="session")
def full_report(full_output: tuple[Path, list[Row]]) -> str:
    """The page about `full_output`."""
    return report.report(str(full_output[0]), "html")
