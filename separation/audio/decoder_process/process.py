"""The caller's side of one decoder process: start it, send requests, receive answers."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO

from separation.audio.decoder_process.messages import ANSWER_HEADER, Answer, Request, encode
from separation.errors import SeparationError

ROOT = Path(__file__).resolve().parents[3]  # the folder that holds the package `separation`
# The arguments are this process's folders of modules. More threads of numpy would take address space.
PROGRAM = """
import os, sys
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
sys.path[:0], sys.path[len(sys.path):] = sys.argv[1:2], sys.argv[2:]
from separation.audio.decoder_process.server import main
main()
"""
KEPT = ("LD_LIBRARY_PATH",)  # of the environment: where this Python itself may need it to start
START_S = 120.0  # for a child's imports on a busy node, before the installation is called broken

log = logging.getLogger(__name__)


def decoder_command() -> tuple[str, ...]:
    """Starts a decoder process that finds the modules that this one finds, but for those of its folder."""
    here = os.getcwd()
    folders = [folder for folder in sys.path if os.path.abspath(folder) != here]
    return (sys.executable, "-P", "-c", PROGRAM, str(ROOT), *folders)


@cache
def warn_once(part: str) -> None:
    log.warning("decoders run without %s, which this kernel does not offer: a hostile file can do more", part)


class ProcessDied(Exception):
    """The process is gone; the text says how it ended."""


class ProcessStalled(Exception):
    """The process is there and sends nothing."""


class DecoderUnusable(SeparationError):
    """No decoder process starts on this machine, so nothing can be decoded."""


class DecoderProcess:
    """A running decoder process. A `Decoding` uses it for one file at a time."""

    def __init__(self, command: Sequence[str]):
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - read after the process died
        with theirs:
            self._process = subprocess.Popen(
                list(command),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env={name: os.environ[name] for name in KEPT if name in os.environ},
            )
        self.pid = self._process.pid
        try:
            kind, missing = self._receive(START_S)
        except (ProcessDied, ProcessStalled) as error:
            self.kill()
            raise DecoderUnusable(f"the decoder process does not start: {error}") from error
        assert kind == Answer.READY
        for part in json.loads(missing):
            warn_once(part)

    def request(self, request: Request, files: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._socket, [encode(request)], files)
        except OSError as error:
            raise self._death() from error

    def answer(self, silence_s: float) -> tuple[Answer, bytearray]:
        """The next answer that is no HEARTBEAT; `ProcessStalled` if none comes for `silence_s` seconds."""
        while True:
            kind, payload = self._receive(silence_s)
            if kind != Answer.HEARTBEAT:
                return kind, payload

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._socket.close()
        self._errors.close()

    def _receive(self, silence_s: float) -> tuple[Answer, bytearray]:
        self._socket.settimeout(silence_s)
        try:
            kind, size = ANSWER_HEADER.unpack(self._read(ANSWER_HEADER.size))
            return Answer(kind), self._read(size)
        except TimeoutError as error:
            raise ProcessStalled(f"no samples for {silence_s:g} s") from error
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

    def _death(self) -> ProcessDied:
        code = self._process.wait()
        if code < 0:
            return ProcessDied(f"its decoder was killed by {signal.Signals(-code).name}")
        self._errors.seek(0)
        last = self._errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        return ProcessDied(f"its decoder exited with code {code}{f': {last}' if last else ''}")
