"""The state of a run: written as it begins and ends, and read with what the lease knows of a killed one."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from jobs.pipeline.job import Job
from jobs.pipeline.output import run_record
from jobs.pipeline.output.lease import OutputLost, is_held
from jobs.pipeline.output.run_record import RunRecord, Standing, State
from jobs.pipeline.progress import Counts
from jobs.pipeline.sizing import Node
from separation.errors import SeparationError
from separation.program import ExitCode
from separation.store.objects import Store
from separation.store.redact import shown


class RunLog:
    """Keeps the record of a run over `tracks` tracks of a catalogue; use as a context around its work.

    Entering writes it, which shows before the first track whether the output can be written. What leaves the
    context tells how the run ended: set `counts` and `exit_code` within. `nodes` are asked for again at the
    end, as a cluster may have grown; `sentence` is what is said of an exception.
    """

    def __init__(
        self,
        job: Job,
        arguments: Mapping[str, Any],
        tracks: int,
        nodes: Callable[[], Sequence[Node]],
        sentence: Callable[[Exception], str] = str,
    ):
        self.counts = Counts(0)
        self.exit_code = ExitCode.DONE
        self._job, self._arguments, self._tracks = job, arguments, tracks
        self._ask_nodes, self._sentence = nodes, sentence
        self._nodes: Sequence[Node] = ()
        self._began = ""

    def __enter__(self) -> "RunLog":
        self._nodes, self._began = self._ask_nodes(), now()
        self._write(Standing(State.RUNNING, self._began))
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            self._nodes = self._ask_nodes()
            self._write(self._end(State.DONE, self.exit_code))
            return
        if isinstance(error, Exception):
            reason = shown(" ".join(self._sentence(error).split())) or type(error).__name__
            standing = self._end(State.STOPPED, ExitCode.REFUSED, reason)
        else:
            standing = self._end(State.INTERRUPTED, ExitCode.INTERRUPTED)
        with suppress(SeparationError):  # the output may be why it ends
            self._write(standing, is_last=not isinstance(error, OutputLost))

    def _end(self, state: State, exit_code: ExitCode, reason: str | None = None) -> Standing:
        return Standing(state, self._began, now(), int(exit_code), reason, self.counts.totals())

    def _write(self, standing: Standing, is_last: bool = True) -> None:
        run_record.write(self._job, self._arguments, self._nodes, self._tracks, standing, is_last=is_last)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def state_of(record: RunRecord, output: str, store: Store) -> str | None:
    """The `State` of the run of `record`, the last one at `output`; None of older versions' runs.

    A run that has written no end is killed if it does not hold the output any more.
    """
    if record.state == State.RUNNING and not is_held(output, record.run_id, store):
        return State.KILLED
    return record.state
