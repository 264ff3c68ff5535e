"""How far a job is: a live table on a terminal, a line every ten seconds in a log."""

import re
import threading
import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from separation.console import clock
from separation.store.redact import host_of, shown

LINE_S = 10.0
REASONS = 10  # that are said of a host
TRIES = re.compile(r"\((\d+ tries in \d+ s|\d+ times)\)$")  # how long it was tried, which is no other reason


@dataclass
class Counts:
    total: int  # tracks of this run
    done: int = 0
    failed: int = 0
    audio_s: float = 0.0  # of the tracks done
    unreachable: dict[str, int] = field(default_factory=dict)  # by host: tracks whose sources stay pending

    @property
    def pending(self) -> int:
        return sum(self.unreachable.values())

    @property
    def left(self) -> int:
        return self.total - self.done - self.failed - self.pending

    def totals(self) -> dict[str, float]:
        """For the run record."""
        return {
            "total": self.total,
            "done": self.done,
            "failed": self.failed,
            "pending": self.pending,
            "left": self.left,
            "audio_s": self.audio_s,
        }


class Progress:
    """Counts finished tracks in `counts` and shows them; use as a context.

    `x realtime` is since its start.
    """

    def __init__(self, counts: Counts, console: Console):
        self.counts = counts
        self._console = console
        self._reasons: dict[str, set[str]] = {}  # by host: why its sources could not be read
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._live = Live(get_renderable=self._table, console=console, refresh_per_second=2, transient=True)
        self._log = threading.Thread(target=self._log_regularly, name="progress", daemon=True)

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        else:
            self._log.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        if self._console.is_terminal:
            self._live.stop()
        else:
            self._log.join()
        self._console.print(self.line(), markup=False, highlight=False, soft_wrap=True)

    def add(self, audio_s: float | None) -> None:
        """Counts a finished track of so many seconds; None for one in error."""
        if audio_s is None:
            self.counts.failed += 1
        else:
            self.counts.done += 1
            self.counts.audio_s += audio_s

    def add_unreachable(self, uri: str, reason: str) -> None:
        """Counts a track that stays pending, and says so once for each reason of its host."""
        host = host_of(uri)
        said = self._reasons.setdefault(host, set())
        if len(said) < REASONS and (cause := TRIES.sub("", reason)) not in said:
            said.add(cause)
            sentence = f"{shown(uri)} cannot be read: {shown(reason)}; it stays pending"
            self._console.print(sentence, markup=False, highlight=False, soft_wrap=True)
        self.counts.unreachable[host] = self.counts.unreachable.get(host, 0) + 1

    def fields(self) -> dict[str, str]:
        counts, elapsed = self.counts, time.monotonic() - self._started
        finished = counts.total - counts.left
        eta = elapsed / finished * counts.left if finished else None
        return {
            "tracks done": f"{counts.done} of {counts.total}",
            "left": str(counts.left),
            "failed": str(counts.failed),
            **({"unreachable": str(counts.pending)} if counts.pending else {}),
            "audio": f"{counts.audio_s / 3600:.2f} h",
            "x realtime": f"{counts.audio_s / elapsed:.2f}" if counts.audio_s else "-",
            "elapsed": clock(elapsed),
            "ETA": clock(eta) if eta is not None else "-",
        }

    def line(self) -> str:
        return "  ".join(f"{name} {value}" for name, value in self.fields().items())

    def _table(self) -> Table:
        table = Table(box=None)
        for name in self.fields():
            table.add_column(name, justify="right")
        table.add_row(*self.fields().values())
        return table

    def _log_regularly(self) -> None:
        while not self._stop.wait(LINE_S):
            self._console.print(self.line(), markup=False, highlight=False, soft_wrap=True)
