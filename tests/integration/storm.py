"""A catalogue under a storm of SIGKILLs: actors, tasks, whole nodes, and the driver, which is run again."""

import contextlib
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import soundfile

from jobs.pipeline.output.tables import read_table
from separation.contract import SAMPLE_RATE, STEMS, STRIDE
from separation.store import objects
from tests.integration.conftest import Cluster, job_command

ACTOR, TASK, RAYLET, DRIVER = "actor", "task", "raylet", "driver"
WORDS = {ACTOR: ("_MapWorker", "MapWorker", "Attempts"), TASK: ("MapBatches(", "finish")}
NODE_STORE_BYTES = 400_000_000
POLL_S = 0.1
LONG_EVERY = 40  # one track of as many has three sections


def write_catalogue(folder: Path, tracks: int) -> Path:
    """Tracks of half a second to two seconds, and some of three sections of one chunk."""
    folder.mkdir()
    for number in range(tracks):
        seconds = 2.5 * STRIDE / SAMPLE_RATE if number % LONG_EVERY == 7 else 0.5 + number % 7 / 4
        noise = np.random.default_rng(number).standard_normal((int(seconds * SAMPLE_RATE), 2))
        soundfile.write(folder / f"{number:03}.wav", np.float32(0.1) * noise.astype(np.float32), SAMPLE_RATE)
    return folder


@dataclass
class Nodes:
    """A head, which stays, and worker nodes on addresses of their own, which die and come again."""

    head: Cluster
    workers: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start(self, address: str) -> None:
        with socket.socket() as free:
            free.bind((address, 0))
            agent = free.getsockname()[1]
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"),
            *("--address", self.head.environment["RAY_ADDRESS"], "--node-ip-address", address),
            *("--num-cpus", "2", "--object-store-memory", str(NODE_STORE_BYTES)),
            f"--dashboard-agent-listen-port={agent}",
        ]
        environment = {k: v for k, v in self.head.environment.items() if k != "RAY_ADDRESS"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.workers[address] = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)

    def tend(self) -> None:
        """Starts those again that ended by themselves, as `ray start` does on a machine that is too slow."""
        for address, node in list(self.workers.items()):
            # Its number must stay its own until its group has been killed: this does not wait for it.
            if os.waitid(os.P_PID, node.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                self.end(address)
                self.start(address)

    def end(self, address: str) -> None:
        node = self.workers.pop(address)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def processes(self, kind: str) -> list[psutil.Process]:
        """The living ones of that kind; raylets are those of the workers."""
        roots = [node.pid for node in self.workers.values()]
        found = []
        for root in roots if kind == RAYLET else [self.head.pid, *roots]:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += [p for p in psutil.Process(root).children(recursive=True) if is_kind(p, kind)]
        return found

    def kill_one(self, kind: str, rng: random.Random) -> bool:
        """Whether there was one; a raylet takes its node along, and a new node comes in its place."""
        if not (found := self.processes(kind)):
            return False
        victim = rng.choice(found)
        addresses = [a for a, node in self.workers.items() if is_below(victim, node.pid)]
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
        if kind == RAYLET:
            self.end(addresses[0])
            self.start(addresses[0])
        return True


def is_kind(process: psutil.Process, kind: str) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        if kind == RAYLET:
            return process.name() == "raylet"
        title = " ".join(process.cmdline())
        is_actor = title.startswith("ray::") and any(word in title for word in WORDS[ACTOR])
        if kind == ACTOR:
            return is_actor
        return not is_actor and title.startswith("ray::") and any(word in title for word in WORDS[TASK])
    return False


def is_below(process: psutil.Process, root: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return root in [parent.pid for parent in process.parents()]
    return False


@contextlib.contextmanager
def worker_nodes(head: Cluster, count: int) -> Iterator[Nodes]:
    nodes = Nodes(head)
    try:
        for number in range(count):
            nodes.start(f"127.0.0.{number + 2}")
        yield nodes
    finally:
        for address in list(nodes.workers):
            nodes.end(address)


@dataclass
class Storm:
    """`kills` of actors, tasks and raylets, and `drivers` more, each at some number of finished tracks."""

    nodes: Nodes
    arguments: tuple[str, ...]
    output: str
    cache: Path
    tracks: int
    seed: int
    counts: Counter[str] = field(default_factory=Counter)

    def blow(self, kills: int, drivers: int) -> int:
        """Runs the job to its end in spite of all; the exit code of its last driver."""
        rng = random.Random(self.seed)
        kinds = [rng.choices((ACTOR, TASK, RAYLET), (5, 5, 2))[0] for _ in range(kills)] + [DRIVER] * drivers
        rng.shuffle(kinds)
        moments = sorted(rng.uniform(0, 0.9) * self.tracks for _ in kinds)
        driver = self._drive()
        try:
            for moment, kind in zip(moments, kinds, strict=True):
                while self.done() < moment:
                    self._wait_for_more(driver)
                if kind == DRIVER:
                    driver.kill()
                    driver.wait()
                    driver = self._drive()
                else:
                    while not self.nodes.kill_one(kind, rng):
                        self._wait_for_more(driver)
                self.counts[kind] += 1
            while driver.poll() is None:
                self.nodes.tend()
                time.sleep(POLL_S)
            return driver.returncode
        finally:
            driver.kill()
            driver.wait()

    def done(self) -> int:
        return read_table(self.output, "tracks", ["track_id"]).num_rows

    def _wait_for_more(self, driver: subprocess.Popen) -> None:
        if driver.poll() is not None:
            raise AssertionError(f"the driver ended with {driver.returncode} in the storm:\n{self.log()}")
        self.nodes.tend()
        time.sleep(POLL_S)

    def _drive(self) -> subprocess.Popen:
        with (self.cache / "driver.log").open("ab") as log:
            command = job_command(self.cache, *self.arguments, "--output", self.output)
            return subprocess.Popen(command, env=self.nodes.head.environment, stdout=log, stderr=log)

    def log(self) -> str:
        return (self.cache / "driver.log").read_text()


def hashes(output: str) -> dict[str, str]:
    """sha256 of every stem at the output, by its path below `stems/`; not of what a killed writer left."""
    files = objects.list_files(f"{output}/stems")
    return {
        file.uri.partition("/stems/")[2]: hashlib.sha256(objects.read_bytes(file.uri)).hexdigest()
        for file in files
        if not objects.UNFINISHED.fullmatch(file.uri.rpartition("/")[2])
    }


def check(output: str, tracks: int, expected: dict[str, str]) -> None:
    """Every track is done, once, with the stems that it should have, and nothing is left over."""
    rows = read_table(output, "tracks", ["track_id", "status", "error"]).to_pylist()
    assert [row for row in rows if row["status"] != "ok"] == []
    assert sorted(row["track_id"] for row in rows) == [f"{number:03}.wav" for number in range(tracks)]
    timings = read_table(output, "timings", ["uri", "sha256"]).to_pylist()
    assert len(timings) == tracks * len(STEMS)
    assert {row["uri"].partition("/stems/")[2]: row["sha256"] for row in timings} == expected
    assert hashes(output) == expected
    assert list(objects.list_files(f"{output}/parts")) == []
