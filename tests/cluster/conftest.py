"""An AWS of the tests' own: moto's server, which knows EC2, IAM and S3."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import listening_port

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "cluster"
ACCOUNT = "123456789012"  # moto's, and the placeholder in cluster/


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this module's, the environment that leads to it, and a home whose ~/.ssh Ray may fill."""
    log = tmp_path_factory.mktemp("log") / "aws"
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        endpoint = f"http://127.0.0.1:{listening_port(server, log)}"
        home = tmp_path_factory.mktemp("home")
        (home / ".ssh").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(home))
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            yield endpoint
    finally:
        server.kill()
        server.wait()
