"""How far a job is: a live table on a terminal, a line every ten seconds in a log, and JSON lines."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.live import Live as LiveTable
from rich.table import Table

from separation.console import LineConsole, clock
from separation.program import ExitCode
from separation.store.redact import host_of, shown

POLL_S = 1.0  # how often it is asked what is inferred
LINE_S = 10.0
WARM_UP_S = 10.0  # of inference, before its speed says anything
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


@dataclass(frozen=True, slots=True)
class Live:
    """What is known of tracks that are not finished. Seconds are of audio."""

    inferred_s: float = 0.0  # a track's length once all graphs have all of its chunks
    probed: int = 0  # tracks whose length is known
    probed_s: float = 0.0  # their lengths together

    def __add__(self, other: "Live") -> "Live":
        return Live(
            self.inferred_s + other.inferred_s, self.probed + other.probed, self.probed_s + other.probed_s
        )


class Events:
    """What a program tells while it works: text to `console` and, where given, JSON lines to `json_lines`.

    A line is an object with `event`, `elapsed_s` and what belongs to the event.
    """

    def __init__(self, console: LineConsole, json_lines: TextIO | None = None):
        self.console, self._json_lines = console, json_lines
        self._began = time.monotonic()

    def phase(self, name: str, detail: str = "") -> None:
        """Names what begins now."""
        self.say(f"{name}: {detail}" if detail else name)
        self.emit("phase", phase=name, **({"detail": shown(detail)} if detail else {}))

    def say(self, line: str) -> None:
        """Text alone."""
        self.console.print(line)

    def to_the_end(self, work: Callable[[], int]) -> int:
        """Does a program's work, and emits the last line: its exit code, and why it stopped."""
        try:
            code = work()
        except KeyboardInterrupt:
            self.emit("end", exit_code=int(ExitCode.INTERRUPTED), reason="interrupted")
            raise
        except Exception as error:
            self.emit("end", exit_code=int(ExitCode.REFUSED), reason=shown(str(error)))
            raise
        self.emit("end", exit_code=int(code), reason=None)
        return code

    def emit(self, event: str, **fields: Any) -> None:
        """A JSON line alone."""
        if self._json_lines:
            content = {"event": event, "elapsed_s": round(time.monotonic() - self._began, 3), **fields}
            print(json.dumps(content), file=self._json_lines, flush=True)


@dataclass(frozen=True, slots=True)
class Pace:
    """What progress shows at one moment. Seconds of audio are of inferred chunks where these are counted."""

    audio_s: float
    audio_total_s: float | None  # of the run: lengths that are known, and their mean for the others
    x_realtime: float | None  # since the first inference; None during the warm-up
    eta_s: float | None


class Progress:
    """Counts finished tracks in `counts` and shows them; use as a context.

    `live` gives what is inferred of tracks that are not finished. Without it, speed and ETA are those of
    finished tracks since the start.
    """

    def __init__(self, counts: Counts, events: Events, live: Callable[[], Live] | None = None):
        self.counts = counts
        self._events, self._ask = events, live
        self._live = Live()
        self._reasons: dict[str, set[str]] = {}  # by host: why its sources could not be read
        self._started = time.monotonic()
        self._first: tuple[float, float] | None = None  # when audio was first inferred, and how much
        self._stop = threading.Event()
        self._table_shown = LiveTable(
            get_renderable=self._table, console=events.console, refresh_per_second=2, transient=True
        )
        self._thread = threading.Thread(target=self._poll, name="progress", daemon=True)

    def __enter__(self) -> "Progress":
        if self._events.console.is_terminal:
            self._table_shown.start()
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._ask and exception[0] is None:
            self.update(self._ask(), time.monotonic())  # a short job may end before it is asked
        if self._events.console.is_terminal:
            self._table_shown.stop()
        self._events.say(self.line())
        self._emit()

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
            self._events.say(f"{shown(uri)} cannot be read: {shown(reason)}; it stays pending")
        self.counts.unreachable[host] = self.counts.unreachable.get(host, 0) + 1

    def update(self, live: Live, now: float) -> None:
        """Takes what is inferred at `now`, a moment of time.monotonic(); says when the first chunk is."""
        if live.inferred_s >= self._live.inferred_s:  # less after its actor was lost
            self._live = live
        if self._first is None and live.inferred_s > 0:
            self._first = now, live.inferred_s
            self._events.phase("first chunk inferred", f"after {clock(now - self._started)}")

    def pace(self, now: float) -> Pace:
        counts, live = self.counts, self._live
        audio_s = max(live.inferred_s, counts.audio_s)
        if self._ask is None:
            elapsed, finished = now - self._started, counts.total - counts.left
            speed = counts.audio_s / elapsed if counts.audio_s else None
            return Pace(audio_s, None, speed, elapsed / finished * counts.left if finished else None)
        total_s = None
        if live.probed:
            expected = counts.total - counts.failed - counts.pending
            total_s = max(audio_s, live.probed_s / live.probed * expected)
        if self._first is None or now - self._first[0] < WARM_UP_S or audio_s <= self._first[1]:
            return Pace(audio_s, total_s, None, None)
        speed = (audio_s - self._first[1]) / (now - self._first[0])
        return Pace(audio_s, total_s, speed, None if total_s is None else (total_s - audio_s) / speed)

    def fields(self, now: float) -> dict[str, str]:
        counts, found = self.counts, self.pace(now)
        audio = clock(found.audio_s)
        if found.audio_total_s is not None:
            audio = f"{audio} of {clock(found.audio_total_s)}"
        return {
            "tracks done": f"{counts.done} of {counts.total}",
            "left": str(counts.left),
            "failed": str(counts.failed),
            **({"unreachable": str(counts.pending)} if counts.pending else {}),
            "audio": audio,
            "x realtime": f"{found.x_realtime:.2f}" if found.x_realtime else "-",
            "elapsed": clock(now - self._started),
            "ETA": clock(found.eta_s) if found.eta_s is not None else "-",
        }

    def line(self) -> str:
        return "  ".join(f"{name} {value}" for name, value in self.fields(time.monotonic()).items())

    def _emit(self) -> None:
        found = self.pace(time.monotonic())
        self._events.emit(
            "progress",
            tracks=self.counts.totals(),
            audio_s=found.audio_s,
            audio_total_s=found.audio_total_s,
            x_realtime=found.x_realtime,
            eta_s=found.eta_s,
        )

    def _table(self) -> Table:
        table = Table(box=None)
        fields = self.fields(time.monotonic())
        for name in fields:
            table.add_column(name, justify="right")
        table.add_row(*fields.values())
        return table

    def _poll(self) -> None:
        said = time.monotonic()
        while not self._stop.wait(POLL_S):
            if self._ask:
                self.update(self._ask(), time.monotonic())
            if time.monotonic() - said >= LINE_S:
                said = time.monotonic()
                self._emit()
                if not self._events.console.is_terminal:
                    self._events.say(self.line())
