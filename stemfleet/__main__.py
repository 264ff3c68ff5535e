"""stemfleet COMMAND ...: every program of the project under one name."""

import difflib
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from separation import __version__
from separation.program import ExitCode, print_error


@dataclass(frozen=True, slots=True)
class Program:
    """`module` has a `main(arguments, prog)` that returns the exit code; it is imported when it is run."""

    module: str
    summary: str


PROGRAMS = {
    "separate": Program("separation.__main__", "separate tracks on this machine"),
    "run": Program("jobs.separate.__main__", "separate a catalogue on a Ray cluster"),
    "verify": Program("jobs.verify.__main__", "check an output folder for missing or damaged stems"),
    "report": Program("jobs.report.__main__", "write a run's figures, errors and samples as one HTML page"),
    "evaluate": Program("jobs.evaluate.__main__", "score stems against the true ones"),
    "benchmark": Program("jobs.benchmark.__main__", "measure throughput and cost, and project them"),
    "export": Program("export.__main__", "turn PyTorch checkpoints into a folder of ONNX models"),
    "songs": Program("band.__main__", "write seeded synthetic songs, with their stems or without"),
}
USAGE = "usage: stemfleet COMMAND [OPTIONS]"


def main(arguments: Sequence[str] | None = None) -> int:
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if command in ("-h", "--help"):
        print(help_text())
        return ExitCode.DONE
    if command == "--version":
        print(f"stemfleet {__version__}")
        return ExitCode.DONE
    if command not in PROGRAMS:
        print_error(f"{refusal(command)} (see stemfleet --help)")
        return ExitCode.REFUSED
    program = importlib.import_module(PROGRAMS[command].module)
    code: int = program.main(rest, prog=f"stemfleet {command}")
    return code


def help_text() -> str:
    width = max(map(len, PROGRAMS))
    lines = [f"  {name:{width}}  {program.summary}" for name, program in PROGRAMS.items()]
    return "\n".join(
        [
            USAGE,
            "",
            "Music source separation, from one file to a catalogue.",
            "",
            "commands:",
            *lines,
            "",
            "stemfleet COMMAND --help shows the options of a command; stemfleet --version the version.",
        ]
    )


def refusal(command: str) -> str:
    """Why `command` is refused, in one sentence, with the command that was probably meant."""
    if not command:
        return f"no command; expected one of {', '.join(PROGRAMS)}"
    near = difflib.get_close_matches(command, PROGRAMS, n=1)
    meant = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(PROGRAMS)}"
    return f"there is no command {command!r}; {meant}"


if __name__ == "__main__":
    sys.exit(main())
