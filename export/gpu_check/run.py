"""All steps, one after the other, whatever fails: a JSON line each, then a table and the verdict."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from export.gpu_check.child import Child, DoesNotHold, Figures
from export.gpu_check.plan import STEPS, Step

Attempt = Callable[[Step, Path], Figures]  # raises DoesNotHold


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a step; `reason` says why it does not hold, or why it was not run."""

    step: Step
    holds: bool | None  # None: not run
    seconds: float
    figures: Figures
    reason: str = ""

    def as_json(self) -> str:
        told = {"reason": self.reason} if self.reason else {}
        line = {"step": self.step.name, "holds": self.holds, "seconds": round(self.seconds, 1)}
        return json.dumps(line | self.figures | told)


def gpu_check(steps: Sequence[Step] = STEPS, attempt: Attempt | None = None) -> str:
    """Runs the steps and prints their lines and the table; returns why the check fails, empty if it holds."""
    outcomes: list[Outcome] = []
    no_gpu = False
    with TemporaryDirectory(prefix="stemfleet-gpu-check-") as folder:
        for step in steps:
            outcome = _outcome(step, Path(folder), no_gpu, attempt or in_a_process)
            print(outcome.as_json(), flush=True)
            outcomes.append(outcome)
            if step.function == "versions":
                no_gpu = not outcome.figures.get("gpu")
    print(table(outcomes))
    return verdict(outcomes)


def in_a_process(step: Step, folder: Path) -> Figures:
    child = Child(folder, step.function, *step.arguments, environment=step.environment)
    return child.result(step.limit_s)


def _outcome(step: Step, folder: Path, no_gpu: bool, attempt: Attempt) -> Outcome:
    if step.gpu and no_gpu:
        return Outcome(step, None, 0.0, {}, "needs a GPU")
    clock = time.perf_counter()
    try:
        figures = attempt(step, folder)
    except DoesNotHold as error:
        return Outcome(step, False, time.perf_counter() - clock, {}, str(error))
    return Outcome(step, True, time.perf_counter() - clock, figures)


def table(outcomes: Sequence[Outcome]) -> str:
    """The table for docs/benchmarks.md, as Markdown, under what the machine has."""
    machine: Figures = outcomes[0].figures if outcomes else {}
    about = [str(machine.get("gpu") or "no GPU"), f"{machine.get('cpus', '?')} CPUs"]
    lines = [
        f"{date.today()}, {', '.join([*about, *machine.get('packages', [])])}.",
        "",
        "| step | holds | figures | s |",
        "|---|---|---|---|",
    ]
    for each in (each for each in outcomes[1:] if each.holds is not None):
        holds = "yes" if each.holds else "**no**"
        figures = ", ".join(f"{name} {value}" for name, value in each.figures.items())
        lines.append(f"| {each.step.name} | {holds} | {figures or each.reason} | {each.seconds:.1f} |")
    if missed := [each.step.name for each in outcomes if each.holds is None]:
        lines += ["", f"Not run, as they need a GPU: {', '.join(missed)}."]
    return "\n".join(["", *lines, ""])


def verdict(outcomes: Sequence[Outcome]) -> str:
    """Why the check fails: the required steps that do not hold or were not run; empty if all hold."""
    required = [each for each in outcomes if each.step.required]
    failed = ", ".join(each.step.name for each in required if each.holds is False)
    missed = ", ".join(each.step.name for each in required if each.holds is None)
    parts = [f"what has to hold does not: {failed}"] if failed else []
    if missed:
        parts.append(f"no GPU to check {missed}: {outcomes[0].figures.get('cause') or outcomes[0].reason}")
    return "; ".join(parts)
