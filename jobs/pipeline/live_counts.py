"""How much audio is inferred before any track is finished."""

import threading
import time
from typing import Protocol

from jobs.pipeline.progress import Live

SEND_S = 1.0  # between two messages of an actor: hundreds report to one ledger


class LiveCounts(Protocol):
    """Where a process tells of its work."""

    def add(self, live: Live) -> None:
        """What it has done since it last told."""


class InferredAudio:
    """Tells `live` of inferred audio, at most every `SEND_S`; an actor may infer in several threads."""

    def __init__(self, live: LiveCounts):
        self._live, self._lock = live, threading.Lock()
        self._untold_s, self._told = 0.0, -SEND_S

    def add(self, audio_s: float) -> None:
        """Seconds of tracks, of which all graphs together count a track's length once."""
        now = time.monotonic()
        with self._lock:
            self._untold_s += audio_s
            if now - self._told < SEND_S:
                return
            told_s, self._untold_s, self._told = self._untold_s, 0.0, now
        self._live.add(Live(inferred_s=told_s))


class LiveCounter:
    """`Live` as a run's processes add it up. What is done twice, as after a lost node, counts twice."""

    def __init__(self) -> None:
        self.live = Live()

    def add(self, live: Live) -> None:
        self.live = self.live + live
