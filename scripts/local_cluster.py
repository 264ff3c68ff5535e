"""Context managers for an S3 server and a Ray cluster, on loopback and in one temporary folder.

That folder is also the home of every process started here, so no other Ray cluster, no ~/.ray and no
~/.aws is read or changed. Token authentication is on, as Ray 2.60 has it for local clusters: the token is
a file in the folder, which RAY_AUTH_MODE and RAY_AUTH_TOKEN_PATH tell the cluster and its clients.
"""

import contextlib
import json
import os
import random
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import s3fs

ROOT = Path(__file__).resolve().parent.parent
OBJECT_STORE_BYTES = 1_000_000_000
OUR_PORTS = range(20_000, 32_768)  # Linux gives higher ones to connections, Ray lower ones to workers
MOST_CPUS = 4  # enough for a demo; leaves the rest of a larger machine free
START_LIMIT_S = 90
STOP_LIMIT_S = 10  # Ray ends a stopped job's driver by force after 3 s
POLL_S = 0.5
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


class LocalError(Exception):
    """A server that did not start or a command that failed; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """A temporary folder, and the environment of every process that is started in it."""

    home: Path
    environment: dict[str, str]

    def finish(self, command: list[str]) -> None:
        """Runs `command` in the repository's root to its end; its output is shown only if it fails."""
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            output = done.stdout + done.stderr
            raise LocalError(f"{shlex.join(command)} exited with {done.returncode}:\n{output}")

    @contextlib.contextmanager
    def running(
        self, name: str, command: list[str], more: dict[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A server in its own process group, which is ended on exit; its output goes to `name`.log.

        `more` is added to its environment.
        """
        environment = self.environment | more
        with (self.home / f"{name}.log").open("wb") as log:
            server = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            yield server
        finally:
            end_group(server)

    def wait_for(self, server: subprocess.Popen[bytes], name: str, url: str) -> None:
        """Waits until `url` answers anything; raises a LocalError with the end of the log if it does not."""
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until and server.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=5):
                    return
            except urllib.error.HTTPError:  # an answer too: it asks for the token
                return
            except OSError:
                time.sleep(0.2)
        log = (self.home / f"{name}.log").read_text(errors="replace")
        raise LocalError(f"{name} did not answer at {url}; the end of its log:\n{log[-3000:]}")


def end_group(leader: subprocess.Popen[bytes]) -> None:
    """Terminates the leader, then kills what is left of its process group."""
    leader.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        leader.wait(timeout=20)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()


@contextlib.contextmanager
def workbench() -> Iterator[Workbench]:
    """A new temporary folder with a token for Ray, removed on exit."""
    # /tmp, as a socket's path may have only 107 bytes and Ray needs 70 of them below its own folder.
    home = Path(tempfile.mkdtemp(prefix="stemfleet-", dir="/tmp"))
    token = home / ".ray" / "auth_token"  # where Ray itself looks for it below a home
    token.parent.mkdir()
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RAY_"))}
    environment = inherited | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        # Despite its name: Ray turns 127.0.0.1 into the machine's address, and listens there, unless
        # clusters are off (get_node_ip_address in ray/_private/services.py).
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # or the node waits 30 s for its idle workers to go
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "PYTHONUNBUFFERED": "1",
    }
    try:
        yield Workbench(home, environment)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, all different.

    None of those that the system gives to connections: between this and a server's start, some program's
    connection would now and then have got one.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(OUR_PORTS, len(OUR_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise LocalError(f"no {count} free ports from {OUR_PORTS[0]} to {OUR_PORTS[-1]}")


@contextlib.contextmanager
def s3_server(bench: Workbench, bucket: str) -> Iterator[dict[str, str]]:
    """A server that holds an empty `bucket` in memory; yields the AWS environment variables for it."""
    port = free_ports(1)[0]
    aws = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with bench.running("s3", command, aws) as server:
        bench.wait_for(server, "s3", aws["AWS_ENDPOINT_URL"])
        # Not mkdir: it names the region, which S3 refuses for us-east-1.
        bucket_files(aws).call_s3("create_bucket", Bucket=bucket)
        yield aws


def bucket_files(aws: dict[str, str]) -> s3fs.S3FileSystem:
    """The file system of the server that `aws`, from `s3_server`, names; nothing is cached."""
    return s3fs.S3FileSystem(
        key=aws["AWS_ACCESS_KEY_ID"],
        secret=aws["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=aws["AWS_ENDPOINT_URL"],
        client_kwargs={"region_name": aws["AWS_DEFAULT_REGION"]},
        use_listings_cache=False,
        skip_instance_cache=True,
    )


@contextlib.contextmanager
def ray_head(bench: Workbench, environment: dict[str, str]) -> Iterator[str]:
    """A cluster of one node, whose jobs inherit `environment`; yields the address for `ray job submit`.

    As env_vars of `ray job submit` they would be in Ray's table of jobs and on its dashboard.
    """
    dashboard, client = free_ports(2)
    command = [
        *(str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats"),
        *("--node-ip-address=127.0.0.1", "--port=0", f"--ray-client-server-port={client}"),
        *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}"),
        *("--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0"),
        f"--num-cpus={min(MOST_CPUS, os.cpu_count() or 1)}",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        f"--temp-dir={bench.home / 'ray'}",
    ]
    address = f"http://127.0.0.1:{dashboard}"
    with bench.running("ray", command, environment) as server:
        bench.wait_for(server, "ray", f"{address}/api/version")
        yield address


def ask(bench: Workbench, url: str, method: str = "GET") -> dict[str, Any]:
    """The JSON answer to a request to the job server, with the cluster's token, as `ray job` sends it."""
    token = Path(bench.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
    request = urllib.request.Request(url, method=method, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as reply:
        answer: dict[str, Any] = json.load(reply)
    return answer


def submit(bench: Workbench, address: str, entrypoint: list[str]) -> int:
    """Runs `entrypoint` as a job and prints its log; returns its driver's exit code.

    Without `--no-wait`, `ray job submit` follows the log too, but only tells 0 from 1, and prints the log
    again for every exit code other than 0.
    """
    name = f"local-{secrets.token_hex(4)}"
    # The working directory leaves out what .gitignore names, the virtual environment included.
    runtime = json.dumps({"excludes": ["/tests", "/docs"]})
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "job", "submit", "--address", address, "--working-dir", "."]
    print(shlex.join(["ray", *command[1:], "--", *entrypoint]), flush=True)
    command += ["--submission-id", name, "--runtime-env-json", runtime, "--no-wait", "--", *entrypoint]
    bench.finish(command)
    job = f"{address}/api/jobs/{name}"
    try:
        return follow(bench, job)
    except BaseException:
        # The driver has a session of its own, which the end of the cluster's group would not reach.
        with contextlib.suppress(OSError):
            ask(bench, f"{job}/stop", "POST")
            wait_for_end(bench, job)
        raise


def follow(bench: Workbench, job: str) -> int:
    """Prints the job's log as it grows; returns its driver's exit code."""
    printed = 0
    while True:
        state = ask(bench, job)
        log = ask(bench, f"{job}/logs")["logs"] or ""
        print(log[printed:], end="", flush=True)
        printed = len(log)
        if state["status"] in ENDED:
            break
        time.sleep(POLL_S)
    if state["driver_exit_code"] is None:
        raise LocalError(f"the job ended as {state['status']}, with no exit code: {state['message']}")
    return int(state["driver_exit_code"])


def wait_for_end(bench: Workbench, job: str) -> None:
    """Waits up to STOP_LIMIT_S until the job has ended."""
    until = time.monotonic() + STOP_LIMIT_S
    while time.monotonic() < until and ask(bench, job)["status"] not in ENDED:
        time.sleep(POLL_S)
