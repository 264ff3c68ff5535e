"""An AWS of the tests' own: moto's server, which knows EC2, IAM and S3."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "cluster"
ACCOUNT = "123456789012"  # moto's, and the placeholder in cluster/


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of this module's, the environment that leads to it, and a home whose ~/.ssh Ray may fill."""
    command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        line = next(found for text in server.stderr if (found := re.search(r"http://127\.0\.0\.1:\d+", text)))
        threading.Thread(target=server.stderr.read, daemon=True).start()  # a full pipe would stop it
        home = tmp_path_factory.mktemp("home")
        (home / ".ssh").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HOME", str(home))
            patch.setenv("AWS_ENDPOINT_URL", line[0])
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            yield line[0]
    finally:
        server.kill()
        server.wait()
