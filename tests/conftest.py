import fcntl
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import fsspec
import psutil
import pytest

from jobs.report import run as report
from separation.store.filesystems import S3_SETTINGS
from tests.outputs import Row, write_output
from tests.stores import STORE

COUNTER = itertools.count()
START_LIMIT_S = 120.0  # of a server that takes two seconds: a machine may have other things to do
# Two that have nothing in common: moto keeps all in memory, localbucket in folders.
SERVERS = {
    "moto": ("moto.server", "-H", "127.0.0.1", "-p"),
    "localbucket": ("localbucket", "data", "--host", "127.0.0.1", "--port"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--s3", choices=tuple(SERVERS), default="moto", help="the S3 server of the tests")
    parser.addoption(
        "--bag",
        choices=("gains", "small", "two"),
        default="gains",
        help="of tests that hold with any: free, real, or free and of two contracts",
    )
    parser.addoption(
        "--storm-seeds", type=int, default=1, metavar="N", help="small storms of seeds 0 to N - 1"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: Sequence[object]) -> None:
    schedule().share_cores(len(specs))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return schedule().BothEnds(config, log)


def schedule() -> ModuleType:
    """`tests.schedule`, which needs pytest-xdist: these hooks are only called where it is."""
    from tests import schedule

    return schedule


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`storm_seed`: one unless asked for more, and then without a suffix in the test's id."""
    if "storm_seed" in metafunc.fixturenames:
        seeds = range(metafunc.config.getoption("storm_seeds"))
        ids = None if len(seeds) > 1 else [pytest.HIDDEN_PARAM]
        metafunc.parametrize("storm_seed", seeds, ids=ids)


@pytest.fixture(scope="session")
def s3(pytestconfig: pytest.Config) -> str:
    """Which of SERVERS the tests run on."""
    return str(pytestconfig.getoption("s3"))


@pytest.fixture(scope="session")
def s3_endpoint(s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 server on loopback, at a port that it chose, and the environment that leads to it."""
    log = tmp_path_factory.mktemp("log") / "s3"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-u", "-m", *SERVERS[s3], "0"],
            cwd=tmp_path_factory.mktemp("s3"),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        endpoint = f"http://127.0.0.1:{listening_port(server, log)}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            patch.setenv("AWS_ACCESS_KEY_ID", "test-key")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test-secret")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            yield endpoint
    finally:
        server.kill()
        server.wait()


def once_a_run(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` filled, in whichever of the processes that share the tests came first."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # that of the run
    folder, part = root / name, root / f"{name}.part"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            make(part)
            part.rename(folder)
    return folder


def listening_port(server: "subprocess.Popen[Any]", log: Path) -> int:
    """The port at which a process accepts connections, as the kernel says; waits for it."""
    until = time.monotonic() + START_LIMIT_S
    while time.monotonic() < until and server.poll() is None:
        for connection in psutil.Process(server.pid).net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                return int(connection.laddr.port)
        time.sleep(0.05)
    pytest.fail(f"no server after {START_LIMIT_S:.0f} s or before it ended:\n{log.read_text()}")


@pytest.fixture
def bucket(s3_endpoint: str) -> str:
    """A fresh bucket, as `s3://name`."""
    return make_bucket()


def make_bucket() -> str:
    """A bucket of its own at the server of `s3_endpoint`."""
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
    return report.report(str(full_output[0]), "html", STORE)
