"""What `python -m separation` says of its tracks: results to stdout, what went wrong to stderr.

A terminal on stderr gets a bar while a track is separated; a pipe gets whole lines alone.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from separation.audio.stem_files import StemFile
from separation.console import LineConsole, clock, counted
from separation.files.tracks import Track
from separation.program import print_error
from separation.store.redact import shown


class AlbumProgress:
    """Counts the `pending` tracks as they end; `done_before` others need no work."""

    def __init__(self, pending: int, done_before: int, results: LineConsole, notes: LineConsole):
        self.done, self.failed, self.unreachable = 0, 0, 0
        self._pending, self._done_before = pending, done_before
        self._results, self._notes = results, notes
        self._audio_s, self._began = 0.0, time.monotonic()

    @contextmanager
    def bar(self, track: Track, chunks: int) -> Iterator[Callable[[str], None]]:
        """A bar of `chunks` while `track` is separated; gives what is called after each chunk."""
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        hidden = not self._notes.is_terminal
        with Progress(
            *columns,
            TimeRemainingColumn(),
            console=self._notes,
            transient=True,
            disable=hidden,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as progress:
            task = progress.add_task(self._position() + shown(track.track_id), total=chunks)
            yield lambda graph: progress.advance(task)

    def note(self, track: Track, sentence: str) -> None:
        """Something unusual about a track that is done nevertheless."""
        self._notes.print(f"{track.track_id}: {sentence}", style="yellow")

    def add(self, track: Track, files: Sequence[StemFile], audio_s: float, seconds: float) -> None:
        """A track of `audio_s` is done after `seconds`."""
        position = self._position()
        self.done += 1
        self._audio_s += audio_s
        for file in files:
            self._results.result(f"{file.uri}  peak {file.peak:.3f}")
        speed = f"{audio_s / seconds:.2f} x realtime"
        self._results.print(f"{position}{track.track_id}: {clock(audio_s)} in {clock(seconds)}, {speed}")

    def fail(self, error: Exception) -> None:
        """A track is an error."""
        self.failed += 1
        print_error(str(error))

    def fail_to_reach(self, error: Exception) -> None:
        """A track's store does not answer."""
        self.unreachable += 1
        print_error(str(error))

    def end_line(self) -> str:
        """`11 tracks done, 1 failed; 0:41:03 of audio in 0:12:10, 3.37 x realtime`."""
        elapsed = time.monotonic() - self._began
        counts = {
            "done before": self._done_before,
            "failed": self.failed,
            "not reached": self.unreachable,
        }
        parts = [f"{count} {which}" for which, count in counts.items() if count]
        line = ", ".join([f"{counted(self.done, 'track')} done", *parts])
        if not self.done:
            return f"{line}; in {clock(elapsed)}"
        speed = f"{self._audio_s / elapsed:.2f} x realtime"
        return f"{line}; {clock(self._audio_s)} of audio in {clock(elapsed)}, {speed}"

    def _position(self) -> str:
        """`3 of 12: `; nothing where there is one track."""
        at = self.done + self.failed + self.unreachable + 1
        return f"{at} of {self._pending}: " if self._pending > 1 else ""
