"""A catalogue under a storm of SIGKILLs: actors, tasks, whole nodes, and the driver, which is run again.

The job waits for the kills, not for a clock: its store lets the stems of only so many tracks be written
before each of them (`Gate`).
"""

import asyncio
import contextlib
import hashlib
import math
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import soundfile
from aiohttp import web

from jobs.pipeline.output.tables import read_table
from separation.contract import HTDEMUCS
from separation.store.disk.atomic_write import UNFINISHED
from tests.faulty_store import Exchange, honest
from tests.integration.conftest import ANY_PORTS, LIMIT_S, Cluster, job_command, wait_until
from tests.stores import STORE

ACTOR, TASK, RAYLET, DRIVER = "actor", "task", "raylet", "driver"
WORDS = {ACTOR: ("_MapWorker", "MapWorker", "Ledger"), TASK: ("MapBatches(", "finish")}
NODE_STORE_BYTES = 400_000_000
END_LIMIT_S = 1800.0  # for what is left once the last kill is done
LAST_KILL = 0.9  # of the tracks
LONG_EVERY = 40  # one track of as many has three sections


def write_catalogue(folder: Path, tracks: int) -> Path:
    """Tracks of half a second to two seconds, and some of three sections of one chunk."""
    folder.mkdir()
    for number in range(tracks):
        seconds = (
            2.5 * HTDEMUCS.stride / HTDEMUCS.sample_rate if number % LONG_EVERY == 7 else 0.5 + number % 7 / 4
        )
        noise = np.random.default_rng(number).standard_normal((int(seconds * HTDEMUCS.sample_rate), 2))
        soundfile.write(
            folder / f"{number:03}.wav", np.float32(0.1) * noise.astype(np.float32), HTDEMUCS.sample_rate
        )
    return folder


@dataclass
class Nodes:
    """A head, which stays, and worker nodes on addresses of their own, which die and come again."""

    head: Cluster
    workers: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start(self, address: str) -> None:
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"),
            *("--address", self.head.environment["RAY_ADDRESS"], "--node-ip-address", address),
            *("--num-cpus", "2", "--object-store-memory", str(NODE_STORE_BYTES), *ANY_PORTS),
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
            nodes.start(f"127.0.1.{number + 2}")  # 127.0.0.2 and so on are those of docs/local.md
        yield nodes
    finally:
        for address in list(nodes.workers):
            nodes.end(address)


class Gate:
    """Lets the stems of `open_for` tracks of a job be written, and holds the requests for any other track's.

    A fault of `tests.faulty_store`'s proxy, for requests that write. At least one of the job's `tracks` is
    held until `open_for` is all of them, so that sooner or later some task waits here: the job cannot end
    before the storm has, and there is a task to kill. A track whose writer was torn away twice passes, as
    the job gives up a track at the third death.
    """

    __name__ = "gate"

    def __init__(self, bucket: str, tracks: int):
        self.open_for, self.waiting = 0.0, 0
        self._begin, self._tracks = f"/{bucket.removeprefix('s3://')}/out/stems/", tracks
        self._torn: Counter[str] = Counter()
        self._passed: set[str] = set()

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        if exchange.path.startswith(self._begin):
            await self._hold(exchange.path.removeprefix(self._begin).partition("/")[0])
        return await honest(exchange)

    async def _hold(self, track: str) -> None:
        self.waiting += 1
        try:
            while not self._may_pass(track):
                await asyncio.sleep(0.02)
            self._passed.add(track)
        except asyncio.CancelledError:  # the writer is gone
            self._torn[track] += 1
            raise
        finally:
            self.waiting -= 1

    def _may_pass(self, track: str) -> bool:
        most = max(self.open_for, self._tracks - 1) if self._torn[track] > 1 else self.open_for
        return track in self._passed or len(self._passed) < most


@dataclass
class Storm:
    """`kills` of actors, tasks and raylets, and `drivers` more, each at some number of tracks."""

    nodes: Nodes
    arguments: tuple[str, ...]
    output: str
    gate: Gate
    cache: Path
    tracks: int
    seed: int
    counts: Counter[str] = field(default_factory=Counter)

    def blow(self, kills: int, drivers: int) -> int:
        """Runs the job to its end in spite of all; the exit code of its last driver."""
        rng = random.Random(self.seed)
        kinds = [rng.choices((ACTOR, TASK, RAYLET), (5, 5, 2))[0] for _ in range(kills)] + [DRIVER] * drivers
        rng.shuffle(kinds)
        moments = sorted(rng.uniform(0, LAST_KILL) * self.tracks for _ in kinds)
        driver = self._drive()
        try:
            for moment, kind in zip(moments, kinds, strict=True):
                self.gate.open_for = moment
                self._wait(
                    driver, lambda: self.gate.waiting, f"no stem came to the gate at {moment:.1f} tracks"
                )
                if kind == DRIVER:
                    driver.kill()
                    driver.wait()
                    driver = self._drive()
                else:
                    self._wait(driver, lambda: self.nodes.kill_one(kind, rng), f"no {kind} to kill")  # noqa: B023
                self.counts[kind] += 1
            self.gate.open_for = math.inf
            self._wait(driver, lambda: driver.poll() is not None, "the job did not end", END_LIMIT_S)
            return driver.returncode
        finally:
            driver.kill()
            driver.wait()

    def _wait(
        self, driver: subprocess.Popen, reached: Callable[[], object], what: str, limit_s: float = LIMIT_S
    ) -> None:
        def look() -> object:
            self.nodes.tend()
            return reached()

        def message() -> str:
            return f"{what}; seed {self.seed}, {dict(self.counts)}:\n{self.log()}"

        wait_until(look, message, limit_s, alive=driver)

    def _drive(self) -> subprocess.Popen:
        with (self.cache / "driver.log").open("ab") as log:
            command = job_command(self.cache, *self.arguments, "--output", self.output)
            return subprocess.Popen(command, env=self.nodes.head.environment, stdout=log, stderr=log)

    def log(self) -> str:
        return (self.cache / "driver.log").read_text()


def hashes(output: str) -> dict[str, str]:
    """sha256 of every stem at the output, by its path below `stems/`; not of what a killed writer left."""
    files = STORE.list_files(f"{output}/stems")
    return {
        file.uri.partition("/stems/")[2]: hashlib.sha256(STORE.read_bytes(file.uri)).hexdigest()
        for file in files
        if not UNFINISHED.fullmatch(file.uri.rpartition("/")[2])
    }


def check(output: str, tracks: int, expected: dict[str, str]) -> None:
    """Every track is done, once, with the stems that it should have, and nothing is left over."""
    rows = read_table(output, "tracks", STORE, ["track_id", "status", "error"]).to_pylist()
    assert [row for row in rows if row["status"] != "ok"] == []
    assert sorted(row["track_id"] for row in rows) == [f"{number:03}.wav" for number in range(tracks)]
    timings = read_table(output, "timings", STORE, ["uri", "sha256"]).to_pylist()
    assert len(timings) == len(expected)
    assert {row["uri"].partition("/stems/")[2]: row["sha256"] for row in timings} == expected
    assert hashes(output) == expected
    assert list(STORE.list_files(f"{output}/parts")) == []
