"""What a machine did during a run, read from its kernel: no stage measures itself.

Twice a second, every process's CPU time so far is read, and what it gained is put down to what the
process was doing: Ray writes the running step into the title of a worker (`ray::MapBatches(chunk)`).
A process that ends between two readings takes at most half a second of its CPU time with it, and what a
worker did and finished between two readings counts as Ray's.
"""

import itertools
import re
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import psutil

INTERVAL_S = 0.5
GPU_EVERY = 4  # nvidia-smi takes longer than all else
OUTSIDE, RAY, DRIVER, WATCH, LOAD = "outside", "ray", "driver", "watch", "load"
STEPS = {"probe": "probe", "plan": "probe", "chunk": "decode", "stitch": "stitch", "finish": "stitch"}


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
    core_s: dict[str, float]  # by doing: a stem, a step, or one of the constants above
    busy_s: float  # of the kernel: all processes, ended ones and those of other containers too
    idle_s: float  # no process could run, or it waited for a disk
    stolen_s: float  # taken by the hypervisor
    peak_bytes: int  # most memory in use on the machine
    start_bytes: int
    net_sent_bytes: int
    net_received_bytes: int
    gpu_busy: float | None  # mean over GPUs and readings, 0 to 1, as nvidia-smi says; None without
    gpu_peak_bytes: int | None


def doing(title: str, stems: Iterable[str]) -> str:
    """What a worker with this title does: a stem, a step, LOAD, or RAY for Ray's own work."""
    if found := re.search(r"MapWorker\(MapBatches\((\w+)\)\)(\.__init__)?", title):
        stem = found[1].lower()
        return LOAD if found[2] else stem if stem in stems else RAY
    if found := re.search(r"MapBatches\((\w+)\)", title) or re.search(r"^ray::(finish)\b", title):
        return STEPS.get(found[1], RAY)
    return WATCH if title.startswith("ray::Watch") else RAY


@dataclass
class Ledger:
    """CPU seconds by doing, from readings of all processes; pure, so that a test can feed it."""

    stems: tuple[str, ...]
    session: str  # of the Ray cluster: other clusters of the machine are others' processes
    driver: int  # pid, 0 on a machine without the driver
    core_s: Counter[str] = field(default_factory=Counter)
    _seen: dict[tuple[int, float], tuple[float, str]] = field(default_factory=dict)

    def read(self, readings: list[Reading], first: bool = False) -> None:
        """Puts down what each process gained; `first` only notes where each of them begins."""
        raylets = {r.pid for r in readings if self.session in r.title and "raylet/raylet" in r.title}
        workers = {r.pid: r for r in readings if r.parent in raylets and r.title.startswith("ray::")}
        seen = {}
        for process in readings:
            key = (process.pid, process.born)
            # A decoder is a child of the worker that it decodes for, and does what that does.
            reading = workers.get(process.parent, process)
            before, last = self._seen.get(key, (0.0, ""))
            now = self._doing(reading, raylets)
            # A worker that has become idle worked until a moment ago.
            whose = last if now == RAY and last not in ("", OUTSIDE) and "ray::IDLE" in reading.title else now
            if not first:
                self.core_s[whose] += process.cpu_s - before
            seen[key] = (process.cpu_s, now)
        self._seen = seen

    def _doing(self, reading: Reading, raylets: set[int]) -> str:
        if reading.pid == self.driver:
            return DRIVER
        if reading.parent in raylets and reading.title.startswith("ray::"):
            return doing(reading.title, self.stems)
        ours = reading.pid in raylets or reading.parent in raylets or self.session in reading.title
        return RAY if ours else OUTSIDE


class Watcher:
    """Watches this machine from `begin` to `end`, in a thread."""

    def __init__(self, stems: tuple[str, ...], session: str, driver: int = 0):
        self._ledger = Ledger(stems, session, driver)
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
    words = " ".join(psutil.Process(raylet).cmdline())
    found = re.search(r"session_[\w-]+", words)
    if not found:
        raise RuntimeError(f"process {raylet} is no raylet: {words[:200]}")
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
