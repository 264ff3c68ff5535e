"""Decoding in a process of its own, so that a file can take down no more than itself.

A file from a catalogue can make a decoder crash, hang or swallow all memory. Here it decodes in a child
(`decoding_process`), which is started once and then serves one file after the other; a child in trouble is
killed, and the next file gets a fresh one. The blocks are those of `reading.Reader` to the bit.

    what happens to the child              what becomes of the track
    it dies (a signal, any exit)           a fresh child goes on at the next sample; the third time: crashed
    no sample for 45 s (`silence_s`)       crashed: killed, not tried again
    it asks for more than `memory_bytes`   too_large
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from separation.audio.decoding_process import ALIVE, BLOCK, END, ERROR, HEADER, OPENED, READY
from separation.audio.limits import DEFAULTS, Limits
from separation.contract import CHANNELS
from separation.errors import Kind, SeparationError, TrackError

TRIES = 3
START_S = 120.0  # for a child's imports on a node that is busy, before the installation is called broken
COMMAND = (sys.executable, "-P", "-m", "separation.audio.decoding_process")


class Died(Exception):
    """The child is gone; the text says how."""


class Silent(Exception):
    """The child lives and says nothing."""


class DecoderUnusable(SeparationError):
    """No decoder process starts here: nothing can go on."""


class Child:
    """A decoder process. `reader` uses it for one file at a time."""

    def __init__(self, command: Sequence[str] = COMMAND):
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - read when it died
        with theirs:
            self._process = subprocess.Popen(
                list(command),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env=environment(),
            )
        self.pid = self._process.pid
        try:
            kind, _ = self._receive(START_S)
        except (Died, Silent) as error:
            self.kill()
            raise DecoderUnusable(f"the decoder process does not start: {error}") from error
        assert kind == READY

    def request(self, what: dict[str, Any], files: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._socket, [json.dumps(what).encode()], files)
        except OSError as error:
            raise self._death() from error

    def answer(self, silence_s: float) -> tuple[int, bytearray]:
        """The next message that is not ALIVE."""
        while True:
            kind, payload = self._receive(silence_s)
            if kind != ALIVE:
                return kind, payload

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()
        self._errors.close()

    def _receive(self, silence_s: float) -> tuple[int, bytearray]:
        self._socket.settimeout(silence_s)
        try:
            kind, size = HEADER.unpack(self._read(HEADER.size))
            return kind, self._read(size)
        except TimeoutError as error:
            raise Silent(f"no samples for {silence_s:g} s") from error
        except (ConnectionError, EOFError) as error:
            raise self._death() from error

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self._socket.recv_into(view)
            if not count:
                raise EOFError
            view = view[count:]
        return data

    def _death(self) -> Died:
        code = self._process.wait()
        if code < 0:
            return Died(f"its decoder died of {signal.Signals(-code).name}")
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        return Died(f"its decoder ended with code {code}{f': {last}' if last else ''}")


def environment() -> dict[str, str]:
    """What a child needs to find its modules, and no credentials."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "HOME") if name in os.environ}
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # each would take address space
    return {**kept, **one_thread, "PYTHONPATH": os.pathsep.join(paths), "LC_ALL": "C.UTF-8"}


class Pool:
    """Children that wait for a file. They end by themselves when idle, or when this process does."""

    def __init__(self, command: Sequence[str] = COMMAND):
        self._command = command
        self._idle: list[Child] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def take(self) -> Child:
        with self._lock:
            if self._pid != os.getpid():  # a fork: the children are the parent's
                self._idle, self._pid = [], os.getpid()
            while self._idle:
                child = self._idle.pop()
                if child.is_alive():
                    return child
                child.kill()
        return Child(self._command)

    def give(self, child: Child) -> None:
        with self._lock:
            self._idle.append(child)


POOL = Pool()


@contextlib.contextmanager
def open_decoding(
    file: BinaryIO, uri: str, limits: Limits = DEFAULTS, pool: Pool = POOL
) -> Iterator["Decoding"]:
    """The decoding of `file`, a real file with a descriptor; `uri` is what errors call it."""
    decoding = Decoding(file, uri, limits, pool)
    try:
        yield decoding
    finally:
        decoding.close()


class Decoding:
    """A track in a child; the same attributes and blocks as `reading.Reader`."""

    sample_rate_hz: int
    channels: int
    codec: str
    duration_s: float | None
    warnings: list[str]

    def __init__(self, file: BinaryIO, uri: str, limits: Limits, pool: Pool):
        self._file, self._uri, self._limits, self._pool = file, uri, limits, pool
        self._child: Child | None = None
        self._deaths = 0  # since the last sample
        while self._child is None:
            with self._blaming():
                self._open()

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """As `Reader.blocks`: float32 (2, n) each."""
        position = start
        while True:
            with self._blaming():
                child = self._child or self._open()
                self._child = None  # unless this goes to its end, the child is in the middle of something
                try:
                    child.request({"do": "blocks", "start": position, "stop": stop})
                    while (message := self._answer(child))[0] == BLOCK:
                        block = np.frombuffer(message[1], np.float32).reshape(CHANNELS, -1)
                        self._deaths, position = 0, position + block.shape[1]
                        yield block
                except BaseException as error:  # an abandoned iteration among them
                    if is_free(child, error):
                        self._child = child
                    raise
                self._child, self.warnings = child, json.loads(message[1])
                return

    def close(self) -> None:
        if self._child is not None:
            child, self._child = self._child, None
            try:
                child.request({"do": "close"})
                child.answer(self._limits.silence_s)
            except (Died, Silent):
                child.kill()
            else:
                self._pool.give(child)

    def _open(self) -> Child:
        child = self._pool.take()
        try:
            child.request({"do": "open", "limits": asdict(self._limits)}, [self._file.fileno()])
            facts = json.loads(self._answer(child)[1])
        except BaseException as error:
            if is_free(child, error):
                self._pool.give(child)
            raise
        for name, value in facts.items():
            setattr(self, name, value)
        self._child = child
        return child

    def _answer(self, child: Child) -> tuple[int, bytearray]:
        kind, payload = child.answer(self._limits.silence_s)
        if kind == ERROR:
            error, reason = json.loads(payload)
            raise TrackError(self._uri, Kind(error), reason)
        assert kind in (OPENED, BLOCK, END)
        return kind, payload

    @contextlib.contextmanager
    def _blaming(self) -> Iterator[None]:
        """Returns after a death that may be tried again."""
        try:
            yield
        except Silent as error:
            raise TrackError(self._uri, Kind.CRASHED, f"its decoder hangs: {error}") from error
        except Died as error:
            self._deaths += 1
            if self._deaths == TRIES:
                raise TrackError(self._uri, Kind.CRASHED, f"{error}, {TRIES} times") from error


def is_free(child: Child, error: BaseException) -> bool:
    """Whether the child is ready for another request; killed if it is not."""
    if isinstance(error, TrackError) and error.kind != Kind.TOO_LARGE:
        return True  # what the child said, as opposed to what befell it
    child.kill()
    return False
