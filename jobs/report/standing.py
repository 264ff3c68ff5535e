"""How far the last run is, as one sentence."""

from datetime import timedelta

from jobs.pipeline.output.run_record import State
from jobs.report import formatting
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
    if facts.state != State.RUNNING:
        return f"{said}; {left}: run the same command again."
    if facts.eta_s is None:
        return f"{said}; {left}."
    done_at = formatting.utc_minute(facts.made_at + timedelta(seconds=facts.eta_s))
    speed = "at the speed of its tracks so far"
    return f"{said}; {left}, {formatting.duration(facts.eta_s)} {speed}: until about {done_at}."
