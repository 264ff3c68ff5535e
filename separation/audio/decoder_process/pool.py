"""Idle decoder processes, kept for the next file."""

import os
import threading
from collections.abc import Sequence
from types import TracebackType

from separation.audio.decoder_process.process import DecoderProcess, decoder_command


class DecoderPool:
    """Starts decoder processes as needed and reuses them. Threads may share a pool; a fork gets its own.

    One pool per program is enough. Closing it kills the idle processes; without that they end by themselves
    after a minute without work, or when this process does. `command` starts one.
    """

    def __init__(self, command: Sequence[str] = ()):
        self._command = command or decoder_command()
        self._idle: list[DecoderProcess] = []
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._closed = False

    def __enter__(self) -> "DecoderPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def take(self) -> DecoderProcess:
        """An idle process, or a new one; the caller gives it back or kills it."""
        with self._lock:
            if self._pid != os.getpid():  # after a fork, the idle processes are the parent's
                self._idle, self._pid = [], os.getpid()
            while self._idle:
                process = self._idle.pop()
                if process.is_running():
                    return process
                process.kill()
        return DecoderProcess(self._command)

    def give_back(self, process: DecoderProcess) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(process)
                return
        process.kill()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for process in idle:
            process.kill()
