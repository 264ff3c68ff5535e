"""python -m separation.audio.decoding_process: decodes files handed to it by the process that started it.

It gets each file as an open descriptor over the socket on its standard input, and answers with messages. It
has no other descriptor to give away and none free to open anything with, may not write, and lives in a
bounded address space: a file that makes a decoder do what it likes finds nothing here.

    request   {"do": "open", ...limits} and a descriptor   -> OPENED facts | ERROR
              {"do": "blocks", "start", "stop"}            -> BLOCK..., END warnings | ERROR
              {"do": "close"}                              -> END
    ALIVE comes whenever a second of decoding brought no block.
"""

import gc
import importlib
import json
import os
import pkgutil
import resource
import socket
import struct
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

import av
import numpy as np
import soundfile

from separation.audio.limits import Limits
from separation.audio.reading import Reader, open_audio
from separation.blocks import reblock
from separation.errors import Kind, TrackError
from separation.store.redact import plain

READY, OPENED, BLOCK, END, ERROR, ALIVE = range(6)
HEADER = struct.Struct("<BQ")  # what comes, and its bytes
REQUEST_BYTES = 65_536
IDLE_S = 60.0  # without a request, after which the process ends
CPU_S = 60  # without a message, after which the kernel ends it: nobody else would, had its parent died
ALIVE_S = 1.0
STDERR_BYTES = 65_536  # its last words go to a file that the parent opened


def main() -> None:
    connection = socket.socket(fileno=os.dup(0))
    load_everything()
    shut_doors(connection.fileno())
    server = Server(connection)
    server.send(READY)
    connection.settimeout(IDLE_S)
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(connection, REQUEST_BYTES, 1)
        except TimeoutError:
            return
        if not data:
            return
        connection.settimeout(None)
        server.answer(json.loads(data), *descriptors)
        connection.settimeout(IDLE_S)


def load_everything() -> None:
    """Whatever a library loads at its first use, for later it cannot open its own modules."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    wave = BytesIO()
    soundfile.write(wave, np.zeros((480, 2), np.float32), 48_000, format="WAV", subtype="IMA_ADPCM")
    list(open_audio(wave, "").blocks())
    gc.collect()
    gc.freeze()  # else the collection after each file looks through all modules: 5 ms


def shut_doors(highest: int) -> None:
    """No files but the one descriptor to come, next to no bytes on any disk, no core dumps."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, highest + 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (STDERR_BYTES, STDERR_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def lower(what: int, limit: int) -> None:
    """Sets a soft limit, which can be raised again for the next file."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


class Server:
    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._file: BinaryIO | None = None
        self._reader: Reader | None = None
        self._spoke = 0.0

    def send(self, what: int, payload: bytes | memoryview = b"") -> None:
        self._connection.sendall(HEADER.pack(what, len(payload)))
        self._connection.sendall(payload)
        lower(resource.RLIMIT_CPU, int(time.process_time()) + CPU_S)
        self._spoke = time.monotonic()

    def alive(self) -> None:
        if time.monotonic() - self._spoke > ALIVE_S:
            self.send(ALIVE)

    def answer(self, request: dict[str, Any], descriptor: int = -1) -> None:
        if request["do"] == "open":
            self._file = os.fdopen(descriptor, "rb")
        try:
            if request["do"] == "open":
                self.send(OPENED, json.dumps(self._open(request)).encode())
            elif request["do"] == "blocks":
                for block in self._blocks(request["start"], request["stop"]):
                    self.send(BLOCK, np.ascontiguousarray(block, dtype=np.float32).data.cast("B"))
                assert self._reader is not None
                self.send(END, json.dumps(self._reader.warnings).encode())
            else:
                self._close()
                self.send(END, b"[]")
        except MemoryError:
            self._close()
            limit = resource.getrlimit(resource.RLIMIT_AS)[0]
            self._fail(Kind.TOO_LARGE, f"decoding it takes more than {limit / 1e9:g} GB of memory")
            raise
        except TrackError as error:
            self._fail(error.kind, error.reason)
        except ConnectionError:
            raise
        except Exception as error:  # what a library did not foresee
            self._fail(Kind.CORRUPT, f"its decoder stopped: {type(error).__name__}: {error}")

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._file is not None
        limits = Limits(**request["limits"])
        lower(resource.RLIMIT_AS, limits.memory_bytes)
        self._reader = reader = open_audio(self._file, "", limits, self.alive)  # the parent knows its name
        names = ("sample_rate_hz", "channels", "codec", "duration_s", "warnings")
        return {name: getattr(reader, name) for name in names}

    def _blocks(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        assert self._reader is not None
        return reblock(self._reader.blocks(start, stop))  # ffmpeg's are of 20 ms: a message each costs more

    def _fail(self, kind: Kind, reason: str) -> None:
        if self._reader is None:
            self._close()  # not opened: the parent sends the next file at once
        self.send(ERROR, json.dumps([kind, plain(reason)]).encode())

    def _close(self) -> None:
        self._reader = None
        if self._file is not None:
            self._file.close()
            self._file = None
            gc.collect()  # PyAV's containers are in cycles, and hold the file


if __name__ == "__main__":
    try:
        main()
    except ConnectionError:  # the parent is gone
        sys.exit(0)
