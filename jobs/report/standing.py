"""How far the last run is, as one sentence."""

from jobs.pipeline.output.run_record import State
from jobs.report.facts import Facts

ENDS: dict[str, str] = {
    State.RUNNING: "is running",
    State.DONE: "came to its end",
    State.INTERRUPTED: "was interrupted",
    State.STOPPED: "stopped",
    State.KILLED: "was killed: it wrote no end, and does not hold the output any more",
}


def sentence(facts: Facts) -> str:
    """Empty where no run says it: none has begun, or an older version ran."""
    if facts.record is None or facts.state is None:
        return ""
    said = f"Run {facts.record.run_id} {ENDS.get(facts.state, facts.state)}"
    if facts.record.reason:
        said = f"{said}: {facts.record.reason}"
    if not facts.left:
        return f"{said}."
    left = f"{facts.left:,} track{'s are' if facts.left > 1 else ' is'} left"
    advice = "" if facts.state == State.RUNNING else ": run the same command again"
    return f"{said}; {left}{advice}."
