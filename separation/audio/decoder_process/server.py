"""The child: decodes files for the process that started it.

Standard input is a socket. Each file arrives over it as an open descriptor, and the answers (see `messages`)
go back over it. The process has no environment, is in the `sandbox`, and has a limited address space: a file
that takes control of a decoder finds nothing to use here.
"""

import gc
import importlib
import json
import os
import pkgutil
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from io import BytesIO
from typing import BinaryIO

import av
import numpy as np
import soundfile

from separation.audio.decoder_process import sandbox
from separation.audio.decoder_process.messages import (
    ANSWER_HEADER,
    REQUEST_BYTES,
    Answer,
    Open,
    Opened,
    Read,
    Request,
    decode,
)
from separation.audio.reading import Reader, open_audio
from separation.blocks import reblock
from separation.errors import ErrorKind, TrackError
from separation.store.redact import plain

IDLE_S = 60.0  # without a request, after which the process ends
CPU_S = 60  # of computing without a message, after which the kernel kills it, even if the parent has died
HEARTBEAT_S = 1.0  # of decoding without a block, after which a sign of life is sent
STDERR_BYTES = 65_536  # of error messages, into a file that the parent opened


def main() -> None:
    """Serves until the parent is gone or a minute without work has passed."""
    with suppress(ConnectionError):
        serve(socket.socket(fileno=os.dup(0)))


def serve(connection: socket.socket) -> None:
    import_everything()
    missing = restrict(connection.fileno())
    server = Server(connection)
    server.send(Answer.READY, json.dumps(missing).encode())
    connection.settimeout(IDLE_S)
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(connection, REQUEST_BYTES, 1)
        except TimeoutError:
            return
        if not data:
            return
        connection.settimeout(None)
        server.serve(decode(data), *descriptors)
        connection.settimeout(IDLE_S)


def import_everything() -> None:
    """Imports what the libraries would load at first use: later, this process can open no file."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    wave = BytesIO()
    soundfile.write(wave, np.zeros((480, 2), np.float32), 48_000, format="WAV", subtype="IMA_ADPCM")
    list(open_audio(wave, "", sample_rate=44_100).blocks())
    gc.collect()
    gc.freeze()  # else the collection after each file scans all modules: 5 ms


def restrict(highest: int) -> list[str]:
    """Allows one more open file after descriptor `highest`, almost no writing, no core dumps.

    Then closes the sandbox, and returns those of its parts that the kernel lacks.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, highest + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (STDERR_BYTES, STDERR_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return sandbox.enter()


def set_soft_limit(resource_id: int, limit: int) -> None:
    """Sets a soft limit, which can be raised again for the next file."""
    hard = resource.getrlimit(resource_id)[1]
    resource.setrlimit(resource_id, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


class Server:
    """Serves one file at a time."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._file: BinaryIO | None = None
        self._reader: Reader | None = None
        self._last_sent = 0.0

    def send(self, kind: Answer, payload: bytes | memoryview = b"") -> None:
        self._connection.sendall(ANSWER_HEADER.pack(kind, len(payload)))
        self._connection.sendall(payload)
        set_soft_limit(resource.RLIMIT_CPU, int(time.process_time()) + CPU_S)
        self._last_sent = time.monotonic()

    def heartbeat(self) -> None:
        if time.monotonic() - self._last_sent > HEARTBEAT_S:
            self.send(Answer.HEARTBEAT)

    def serve(self, request: Request, descriptor: int = -1) -> None:
        if isinstance(request, Open):
            self._file = os.fdopen(descriptor, "rb")
        try:
            if isinstance(request, Open):
                self.send(Answer.OPENED, json.dumps(asdict(self._open(request))).encode())
            elif isinstance(request, Read):
                for block in self._blocks(request):
                    self.send(Answer.BLOCK, np.ascontiguousarray(block, dtype=np.float32).data.cast("B"))
                assert self._reader is not None
                self.send(Answer.END, json.dumps(self._reader.warnings).encode())
            else:
                self._close()
                self.send(Answer.END, b"[]")
        except MemoryError:
            self._close()
            limit = resource.getrlimit(resource.RLIMIT_AS)[0]
            self._fail(ErrorKind.TOO_LARGE, f"decoding it takes more than {limit / 1e9:g} GB of memory")
            raise
        except TrackError as error:
            self._fail(error.kind, error.reason)
        except ConnectionError:
            raise
        except Exception as error:  # a library raised something undocumented
            self._fail(ErrorKind.CORRUPT, f"its decoder stopped: {type(error).__name__}: {error}")

    def _open(self, request: Open) -> Opened:
        assert self._file is not None
        set_soft_limit(resource.RLIMIT_AS, request.limits.memory_bytes)
        reader = open_audio(  # the parent adds the URI
            self._file, "", request.limits, self.heartbeat, sample_rate=request.sample_rate
        )
        self._reader = reader
        return Opened(
            reader.sample_rate_hz, reader.channels, reader.codec, reader.duration_s, reader.warnings
        )

    def _blocks(self, request: Read) -> Iterator[np.ndarray]:
        assert self._reader is not None
        # ffmpeg gives 20 ms at a time; a message for each would cost more
        return reblock(self._reader.blocks(request.start, request.stop))

    def _fail(self, kind: ErrorKind, reason: str) -> None:
        if self._reader is None:
            self._close()  # the file was not opened: the next request is the next file
        self.send(Answer.ERROR, json.dumps([kind, plain(reason)]).encode())

    def _close(self) -> None:
        self._reader = None
        if self._file is not None:
            self._file.close()
            self._file = None
            gc.collect()  # PyAV's containers are in reference cycles, and hold the file open
