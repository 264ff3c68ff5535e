"""A node's cores as turns: how many inferences run at once, whatever the number of actors.

Four pools that all run on two cores lose a quarter or more of their speed to each other, and Ray
cannot say "at most two at a time over four pools". File locks can: they are held by the process,
so that an actor that dies gives its turn back.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_S = 0.005  # an inference takes 0.5 to 3 s


class Gate:
    """`turns` 0 lets everyone through, as on a GPU, whose driver shares it."""

    def __init__(self, folder: Path, turns: int):
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [
            os.open(folder / f"turn-{turn}", os.O_RDWR | os.O_CREAT, 0o600) for turn in range(turns)
        ]

    @contextmanager
    def turn(self) -> Iterator[float]:
        """Waits for a turn and holds it; gives the seconds waited."""
        started = time.perf_counter()
        held = self._wait() if self._files else None
        try:
            yield time.perf_counter() - started
        finally:
            if held is not None:
                fcntl.flock(held, fcntl.LOCK_UN)

    def _wait(self) -> int:
        while True:
            for file in self._files:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return file
                except BlockingIOError:
                    continue
            time.sleep(POLL_S)
