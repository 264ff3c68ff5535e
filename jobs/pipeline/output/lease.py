"""The lease of an output: one run at a time writes to it, and takes over from one that died.

`locks/<number>.json` says who holds the output: the run with the highest number. Only one run can create a
number, for which a store needs no more than create-only writes. The holder rewrites its lock every `BEAT_S`
seconds; when that stops for `EXPIRES_S`, or its process is gone from this machine, the next run creates the
next number. A holder that finds a higher number than its own was taken for dead, and stops: `Lease.check`
raises before each write to the tables.
"""

import json
import os
import re
import socket
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

import msgspec
import psutil

from separation.errors import SeparationError, StorageError
from separation.store.filesystems import join
from separation.store.metadata import Listed
from separation.store.objects import Store

BEAT_S = 10.0
EXPIRES_S = 60.0  # a store may fail for most of it without a run losing its lease
POLL_S = 1.0
MOST_TRIES = 100  # while other runs come first
NAME = re.compile(r"([0-9]{6}|[1-9][0-9]{6,})\.json")  # of a lock; whatever else is there is none


class OutputInUse(SeparationError):
    """Another run holds the output."""

    def __init__(self, output: str, holder: str):
        super().__init__(output, holder)
        self.output, self.holder = output, holder

    def __str__(self) -> str:
        return f"{self.output} is in use by {self.holder}; wait until it ends, or choose another --output"


class OutputLost(SeparationError):
    """This run was taken for dead, and another one has taken over its output."""

    def __init__(self, output: str, holder: str):
        super().__init__(output, holder)
        self.output, self.holder = output, holder

    def __str__(self) -> str:
        return f"{self.output} was taken over by {self.holder}: this run was silent for {EXPIRES_S:g} s"


@dataclass(frozen=True, slots=True)
class Lock:
    """Who holds an output; on its own machine, `place`, `pid` and `born` tell whether it still runs."""

    run_id: str
    host: str
    place: str  # the boot and process namespace that `pid` belongs to; empty if unknown
    pid: int
    born: float
    since: str
    beat: int = 0
    released: bool = False

    @classmethod
    def parse(cls, content: bytes) -> "Lock":
        """The lock in a file. One that this version cannot read is a run that shows life by other bytes."""
        try:
            return msgspec.json.decode(content, type=cls)
        except (msgspec.MsgspecError, RecursionError):
            return cls("unknown", "a machine unknown", "", 0, 0.0, "a time unknown", zlib.crc32(content))

    def describe(self) -> str:
        return f"run {self.run_id} on {self.host} (process {self.pid}), which has held it since {self.since}"

    def is_gone(self) -> bool:
        """Whether its process has ended, as far as this machine can tell."""
        if not self.place or self.place != this_machine():
            return False
        with suppress(psutil.NoSuchProcess, ValueError):  # the latter for a number that is no process's
            process = psutil.Process(self.pid)
            return bool(process.create_time() != self.born or process.status() == psutil.STATUS_ZOMBIE)
        return True


def this_machine() -> str:
    """Boot and process namespace: two containers may share a host name, but not both of these."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:
        return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    return ""


def is_held(output: str, run_id: str, store: Store) -> bool:
    """Whether the run `run_id` holds `output` and shows life, as far as one look can tell.

    On this machine its process tells, elsewhere how long ago its lock was rewritten, by the store's clock.
    """
    found = max(_locks(output, store).items(), default=None)
    if found is None:
        return False
    try:
        lock = Lock.parse(store.read_bytes(found[1].uri))
    except FileNotFoundError:  # another run is taking over
        return False
    if lock.run_id != run_id or lock.released or lock.is_gone():
        return False
    written = found[1].modified
    is_here = lock.place == this_machine() != ""
    return is_here or written is None or (datetime.now(UTC) - written).total_seconds() < EXPIRES_S


def _locks(output: str, store: Store) -> dict[int, Listed]:
    """The locks of an output by their numbers."""
    files = {file.uri.rpartition("/")[2]: file for file in store.list_files(join(output, "locks"))}
    return {int(found[1]): file for name, file in files.items() if (found := NAME.fullmatch(name))}


class Lease:
    """Holds `output` as long as the context lasts; `say` reports what it waits for.

    Entering raises `OutputInUse` if another run is alive. On the same machine that is known at once,
    otherwise when its lock is rewritten. Raises `StorageError` if locks are not listed.
    """

    def __init__(self, output: str, run_id: str, store: Store, say: Callable[[str], None] = print):
        self.output, self._store, self._say = output, store, say
        born = psutil.Process().create_time()
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self._lock = Lock(run_id, socket.gethostname(), this_machine(), os.getpid(), born, since)
        self._number = 0
        self._last_beat = 0.0  # when this run last wrote its lock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_regularly, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        for _ in range(MOST_TRIES):
            if self._take():
                self._thread.start()
                return self
            time.sleep(POLL_S / 10)
        reason = f"what it lists and what is there differ, in each of {MOST_TRIES} tries to take the output"
        raise StorageError(join(self.output, "locks"), reason)

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(SeparationError):  # if it fails, the lock expires by itself
            self._beat(released=True)

    def check(self) -> None:
        """Raises `OutputLost` if another run has taken over; asks the store only if that is possible yet."""
        if time.monotonic() - self._last_beat > EXPIRES_S - BEAT_S:
            self._beat()

    def _take(self) -> bool:
        """One try to take the lease; False if another run came first, which the next try finds."""
        numbers = self._numbers()
        last = max(numbers, default=0)
        if last and not self._may_follow(last):
            return False
        self._number = last + 1
        if not self._store.create_bytes(self._content(), self._uri(self._number)):
            return False
        if max(self._numbers(), default=0) != self._number:  # others were created and removed meanwhile
            self._store.remove([self._uri(self._number)])
            return False
        self._last_beat = time.monotonic()
        self._store.remove(self._uri(number) for number in numbers)
        return True

    def _may_follow(self, number: int) -> bool:
        lock = self._read(number)
        if lock is None:
            if number in self._numbers():
                raise StorageError(self._uri(number), "a lock that is listed and not there; remove it")
            return False
        if lock.released or lock.is_gone():
            return True
        if lock.place == this_machine() != "":
            raise OutputInUse(self.output, lock.describe())
        self._say(
            f"{self.output} is held by {lock.describe()}; waiting up to {EXPIRES_S:g} s for a sign of life"
        )
        until = time.monotonic() + EXPIRES_S
        while time.monotonic() < until:
            time.sleep(POLL_S)
            now = self._read(number)
            if now is None or now.released:
                return now is not None
            if now.beat != lock.beat:
                raise OutputInUse(self.output, lock.describe())
        return True

    def _beat_regularly(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                self._beat()
            except StorageError:
                continue  # `check` tries again before anything is written
            except OutputLost:
                return  # `check` raises it again

    def _beat(self, released: bool = False) -> None:
        began = time.monotonic()
        last = max(self._numbers(), default=0)
        if last > self._number:
            self._last_beat = float("-inf")
            holder = self._read(last)
            raise OutputLost(self.output, holder.describe() if holder else "another run")
        self._lock = replace(self._lock, beat=self._lock.beat + 1, released=released)
        self._store.put_bytes(self._content(), self._uri(self._number))
        self._last_beat = began

    def _content(self) -> bytes:
        return json.dumps(asdict(self._lock)).encode()

    def _uri(self, number: int) -> str:
        return join(self.output, f"locks/{number:06}.json")

    def _numbers(self) -> list[int]:
        return list(_locks(self.output, self._store))

    def _read(self, number: int) -> Lock | None:
        try:
            return Lock.parse(self._store.read_bytes(self._uri(number)))
        except FileNotFoundError:
            return None
