"""One file decoded in a decoder process, with another try if the process dies."""

import contextlib
import json
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from separation.audio.decoder_process.messages import Answer, Close, Open, Opened, Read
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.decoder_process.process import DecoderProcess, ProcessDied, ProcessStalled
from separation.audio.limits import Limits
from separation.contract import CHANNELS
from separation.errors import ErrorKind, TrackError

TRIES = 3  # deaths in a row, without a sample between them, until a track is given up


@contextlib.contextmanager
def open_decoding(
    file: BinaryIO, uri: str, pool: DecoderPool, limits: Limits, sample_rate: int | None
) -> Iterator["Decoding"]:
    """The decoding of `file`, a real file with a descriptor; errors name it by `uri`.

    The mix is resampled to `sample_rate`, in Hz; None keeps the file's own.
    """
    decoding = Decoding(file, uri, pool, limits, sample_rate)
    try:
        yield decoding
    finally:
        decoding.close()


class Decoding:
    """A file in a decoder process; the same attributes and blocks as `reading.Reader`."""

    def __init__(self, file: BinaryIO, uri: str, pool: DecoderPool, limits: Limits, sample_rate: int | None):
        self._file, self._uri, self._limits, self._pool = file, uri, limits, pool
        self._sample_rate = sample_rate
        self._process: DecoderProcess | None = None  # which has the file open and waits for a request
        self._deaths = 0  # since the last sample
        while self._process is None:
            try:
                self._process = self._open()
            except (ProcessDied, ProcessStalled) as error:
                self._raise_unless_retryable(error)

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """As `Reader.blocks`: samples [start, stop) of the mix, in blocks float32 (2, n)."""
        position = start
        while True:
            try:
                process = self._process or self._open()
                self._process = None  # busy until the last answer has come
                try:
                    process.request(Read(position, stop))
                    while (answer := self._answer(process))[0] == Answer.BLOCK:
                        block = np.frombuffer(answer[1], np.float32).reshape(CHANNELS, -1)
                        self._deaths, position = 0, position + block.shape[1]
                        yield block
                except BaseException as error:  # also when the caller abandons the iteration
                    if _is_reusable(process, error):
                        self._process = process
                    raise
                self._process, self.warnings = process, json.loads(answer[1])
                return
            except (ProcessDied, ProcessStalled) as error:
                self._raise_unless_retryable(error)

    def close(self) -> None:
        """Gives the process back to the pool."""
        if self._process is not None:
            process, self._process = self._process, None
            try:
                process.request(Close())
                process.answer(self._limits.silence_s)
            except (ProcessDied, ProcessStalled):
                process.kill()
            else:
                self._pool.give_back(process)

    def _open(self) -> DecoderProcess:
        """A process that has the file open; sets what it found in the header."""
        process = self._pool.take()
        try:
            process.request(Open(self._limits, self._sample_rate), [self._file.fileno()])
            found = Opened(**json.loads(self._answer(process)[1]))
        except BaseException as error:
            if _is_reusable(process, error):
                self._pool.give_back(process)
            raise
        self.sample_rate_hz, self.channels = found.sample_rate_hz, found.channels
        self.codec, self.duration_s, self.warnings = found.codec, found.duration_s, found.warnings
        return process

    def _answer(self, process: DecoderProcess) -> tuple[Answer, bytearray]:
        kind, payload = process.answer(self._limits.silence_s)
        if kind == Answer.ERROR:
            error, reason = json.loads(payload)
            raise TrackError(self._uri, ErrorKind(error), reason)
        assert kind in (Answer.OPENED, Answer.BLOCK, Answer.END)
        return kind, payload

    def _raise_unless_retryable(self, error: ProcessDied | ProcessStalled) -> None:
        """Counts a death; raises `TrackError(CRASHED)` for a stall and for the last of TRIES deaths."""
        if isinstance(error, ProcessStalled):
            raise TrackError(self._uri, ErrorKind.CRASHED, f"its decoder stalled: {error}") from error
        self._deaths += 1
        if self._deaths == TRIES:
            raise TrackError(self._uri, ErrorKind.CRASHED, f"{error}, {TRIES} times") from error


def _is_reusable(process: DecoderProcess, error: BaseException) -> bool:
    """Whether the process can take another request after `error`; kills it otherwise."""
    if isinstance(error, TrackError) and error.kind != ErrorKind.TOO_LARGE:
        return True  # the process reported this error itself, and waits
    process.kill()
    return False
