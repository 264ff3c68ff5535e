"""What the demo promises of the servers that it starts, on real ones: they work, and nothing stays."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.integration.conftest import LIMIT_S

ROOT = Path(__file__).resolve().parents[2]

# Two jobs: one that reaches S3 and exits with 3, and one that never ends.
SESSION = """
import signal, sys, urllib.error, urllib.request
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell runs in the background
sys.path.insert(0, "scripts")
from local_cluster import bucket_files, ray_head, s3_server, submit, workbench

write = "import s3fs; s3fs.S3FileSystem().pipe('shelf/from job', b'1'); raise SystemExit(3)"
wait = "import os, time; print('driver', os.getpid(), flush=True); time.sleep(600)"
with workbench() as bench, s3_server(bench, "shelf") as aws, ray_head(bench, aws) as address:
    print("home", bench.home, flush=True)
    print("code", submit(bench, address, ["python", "-c", write]), flush=True)
    print("files", bucket_files(aws).find("shelf"), flush=True)
    try:
        urllib.request.urlopen(f"{address}/api/jobs/")
    except urllib.error.HTTPError as error:
        print("without a token", error.code, flush=True)
    submit(bench, address, ["python", "-c", wait])
"""


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> tuple[str, int]:
    """The output of SESSION, interrupted as by Ctrl-C once its second job runs, and its exit code."""
    user_home = tmp_path_factory.mktemp("user")
    environment = os.environ | {"HOME": str(user_home)}
    lines = []
    with subprocess.Popen(
        [sys.executable, "-c", SESSION], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as child:
        hang = threading.Timer(LIMIT_S, child.kill)  # so that its output ends
        hang.start()
        try:
            for line in child.stdout:
                lines.append(line)
                if line.startswith("driver "):
                    child.send_signal(signal.SIGINT)
            code = child.wait(LIMIT_S)
        finally:
            hang.cancel()
            child.terminate()
    assert list(user_home.iterdir()) == []
    return "".join(lines), code


def found(pattern: str, output: str) -> str:
    match = re.search(pattern, output, re.MULTILINE)
    assert match, output
    return match[1]


def test_a_job_reaches_s3_and_its_exit_code_comes_back(session):
    output, _ = session
    assert found(r"^code (\d+)$", output) == "3"
    assert found(r"^files (.*)$", output) == "['shelf/from job']"


def test_the_cluster_asks_for_its_token(session):
    assert found(r"^without a token (\d+)$", session[0]) == "401"


def test_an_interrupt_ends_the_driver_and_all_servers(session):
    output, code = session
    assert code == -signal.SIGINT
    with pytest.raises(ProcessLookupError):
        os.kill(int(found(r"^driver (\d+)$", output)), 0)
    home = found(r"^home (.*)$", output)
    assert not Path(home).exists()
    processes = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True).stdout
    assert home not in processes
