"""What the processes of a machine used during a run, read from its kernel: no stage measures itself.

Twice a second, every process's CPU time so far is read, and what it gained is booked to what the
process was doing: Ray writes the running stage into the title of a worker (`ray::MapBatches(cut)`), and
`Stages.process_titles` says which title is whose. A process that ends between two readings takes at most
half a second of its CPU time with it, and what a worker did and finished between two readings counts as
Ray's.
"""

import itertools
import re
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

INTERVAL_S = 0.5
GPU_EVERY = 4  # nvidia-smi takes longer than all else
OUTSIDE, RAY, DRIVER, WATCH, LOAD = "outside", "ray", "driver", "watch", "load"


@dataclass(frozen=True, slots=True)
class Reading:
    """One process at one moment; `title` is its command line in one string."""

    pid: int
    parent: int
    born: float
    title: str
    cpu_s: float  # user and system, since it was born


@dataclass(frozen=True, slots=True)
class Usage:
    """A machine between two moments. Seconds of `core_s`, `idle_s`, `stolen_s` are of one core."""

    machine: str
    cores: int
    wall_s: float
    core_s: dict[str, float]  # by activity: the name of a stage, or one of the constants above
    busy_s: float  # of the kernel: all processes, ended ones and those of other containers too
    idle_s: float  # no process could run, or it waited for a disk
    stolen_s: float  # taken by the hypervisor
    peak_bytes: int  # most memory in use on the machine
    start_bytes: int
    net_sent_bytes: int
    net_received_bytes: int
    gpu_busy: float | None  # mean over GPUs and readings, 0 to 1, as nvidia-smi says; None without
    gpu_peak_bytes: int | None


def activity(title: str, stages: Mapping[str, str]) -> str:
    """What a worker with this title does: the name of a stage, LOAD, WATCH, or RAY for Ray's own work.

    `stages` are `Stages.process_titles`.
    """
    for part, stage in stages.items():
        if part in title:
            return LOAD if f"{part}).__init__" in title else stage
    return WATCH if title.startswith("ray::Watch") else RAY


@dataclass
class Ledger:
    """CPU seconds by activity, from readings of all processes; pure, so that a test can feed it."""

    stages: Mapping[str, str]  # process title -> name
    session: str  # of the Ray cluster; other clusters of the machine count as outside
    driver: int  # pid, 0 on a machine without the driver
    core_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _seen: dict[tuple[int, float], tuple[float, str]] = field(default_factory=dict)

    def read(self, readings: list[Reading], first: bool = False) -> None:
        """Books what each process gained; the `first` reading only notes where each of them begins."""
        raylets = {r.pid for r in readings if self.session in r.title and "raylet/raylet" in r.title}
        workers = {r.pid: r for r in readings if r.parent in raylets and r.title.startswith("ray::")}
        seen: dict[tuple[int, float], tuple[float, str]] = {}
        for process in readings:
            key = (process.pid, process.born)
            # A decoder is a child of the worker that it decodes for, and counts as that.
            reading = workers.get(process.parent, process)
            before, last = self._seen.get(key, (0.0, ""))
            now = self._activity(reading, raylets)
            # A worker that has become idle worked until a moment ago.
            was_busy = now == RAY and last not in ("", OUTSIDE) and "ray::IDLE" in reading.title
            if not first:
                self.core_s[last if was_busy else now] += process.cpu_s - before
            seen[key] = (process.cpu_s, now)
        self._seen = seen

    def _activity(self, reading: Reading, raylets: set[int]) -> str:
        if reading.pid == self.driver:
            return DRIVER
        if reading.parent in raylets and reading.title.startswith("ray::"):
            return activity(reading.title, self.stages)
        ours = reading.pid in raylets or reading.parent in raylets or self.session in reading.title
        return RAY if ours else OUTSIDE


class Watcher:
    """Watches this machine from `begin` to `end`, in a thread."""

    def __init__(self, stages: Mapping[str, str], session: str, driver: int = 0):
        self._ledger = Ledger(stages, session, driver)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)
        self._gpus: list[tuple[float, int]] = []

    def begin(self) -> None:
        self._start_bytes = self._peak_bytes = _used_bytes()
        self._ledger.read(read_processes(), first=True)
        self._cpu, self._net, self._clock = psutil.cpu_times(), psutil.net_io_counters(), time.perf_counter()
        self._thread.start()

    def end(self) -> Usage:
        self._stop.set()
        self._thread.join()
        cpu, net, wall_s = psutil.cpu_times(), psutil.net_io_counters(), time.perf_counter() - self._clock
        self._ledger.read(read_processes())

        def ticks(*names: str) -> float:
            return sum(getattr(cpu, n, 0.0) - getattr(self._cpu, n, 0.0) for n in names)

        return Usage(
            machine=socket.gethostname(),
            cores=psutil.cpu_count() or 1,
            wall_s=wall_s,
            core_s=dict(self._ledger.core_s),
            busy_s=ticks("user", "nice", "system", "irq", "softirq"),  # guests stand in user
            idle_s=ticks("idle", "iowait"),
            stolen_s=ticks("steal"),
            peak_bytes=self._peak_bytes,
            start_bytes=self._start_bytes,
            net_sent_bytes=net.bytes_sent - self._net.bytes_sent,
            net_received_bytes=net.bytes_recv - self._net.bytes_recv,
            gpu_busy=sum(busy for busy, _ in self._gpus) / len(self._gpus) if self._gpus else None,
            gpu_peak_bytes=max((used for _, used in self._gpus), default=None),
        )

    def _watch(self) -> None:
        for number in itertools.count():
            if self._stop.wait(INTERVAL_S):
                return
            self._ledger.read(read_processes())
            self._peak_bytes = max(self._peak_bytes, _used_bytes())
            if number % GPU_EVERY == 0:
                self._gpus += read_gpus()


def read_processes() -> list[Reading]:
    readings = []
    for process in psutil.process_iter(["pid", "ppid", "create_time", "cmdline", "cpu_times"]):
        info = process.info
        if info["cpu_times"] is not None:
            cpu_s = info["cpu_times"].user + info["cpu_times"].system
            title = " ".join(info["cmdline"] or ())
            readings.append(Reading(info["pid"], info["ppid"], info["create_time"], title, cpu_s))
    return readings


def session_of(raylet: int) -> str:
    """The Ray session whose raylet has this pid; its name stands in the command lines of all its parts."""
    command = " ".join(psutil.Process(raylet).cmdline())
    found = re.search(r"session_[\w-]+", command)
    if not found:
        raise RuntimeError(f"process {raylet} is no raylet: {command[:200]}")
    return found[0]


def read_gpus() -> list[tuple[float, int]]:
    """(share of time busy, bytes in use) of each GPU of this machine; empty without nvidia-smi."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True, timeout=10).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_gpus(found)


def parse_gpus(text: str) -> list[tuple[float, int]]:
    """nvidia-smi's `percent, MiB` lines; a GPU that says `[N/A]` is left out."""
    rows = [line.split(",") for line in text.splitlines() if line.strip()]
    return [
        (float(busy) / 100, int(used) * 2**20)
        for busy, used in rows
        if busy.strip().isdigit() and used.strip().isdigit()
    ]


def _used_bytes() -> int:
    memory = psutil.virtual_memory()
    return int(memory.total - memory.available)
