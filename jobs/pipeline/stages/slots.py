"""A node's slots for inference: how many run at once, whatever the number of actors.

Four pools that all run on two cores lose a quarter or more of their speed to each other, and Ray
cannot say "at most two at a time over four pools". File locks can: the process holds them, so an actor
that dies frees its slot.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from separation.store.disk.private_folder import open_private, private_folder

POLL_S = 0.005  # an inference takes 0.5 to 3 s


class Slots:
    """`count` slots that all processes of a node share through files in `folder`.

    With a `count` of 0 nobody waits, as on a GPU, whose driver shares it.
    """

    def __init__(self, folder: Path, count: int):
        private_folder(folder)
        self._files = [open_private(folder / f"slot-{number}", "ab") for number in range(count)]

    @contextmanager
    def take(self) -> Iterator[float]:
        """Waits for a free slot and holds it; gives the seconds waited."""
        started = time.perf_counter()
        held = self._wait() if self._files else None
        try:
            yield time.perf_counter() - started
        finally:
            if held is not None:
                fcntl.flock(held, fcntl.LOCK_UN)

    def _wait(self) -> BinaryIO:
        while True:
            for file in self._files:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return file
                except BlockingIOError:
                    continue
            time.sleep(POLL_S)
