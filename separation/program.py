"""The frame of every program: the command line, exit codes, how errors are printed, Ctrl-C.

A program's `__main__` offers `parser(prog)` and `main(arguments, prog)`; the latter is one call of `run`.
At its top it imports nothing but argparse, this module and the argument types: whatever the parser or the
work needs is imported inside `run`. So `--help` and every mistake on a command line are answered without the
packages that only the work needs, and Ctrl-C during a long import ends like any other.
"""

import argparse
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn

from separation import __version__
from separation.errors import SeparationError
from separation.store.redact import shown

# The extra of pyproject.toml that brings a package which not every installation has.
EXTRAS = {
    "ray": "cluster",
    "pyarrow": "cluster",
    "jinja2": "cluster",
    "markupsafe": "cluster",
    "psutil": "cluster",
    "msgspec": "cluster",
    "torch": "export",
    "demucs": "export",
    "onnx": "export",
    "safetensors": "export",
    "yaml": "export",
    "onnxruntime": "cpu",
    "openvino": "openvino",
}
# Their DEBUG lines hold request headers, with session tokens and signatures in them.
TOO_TALKATIVE = ("aiobotocore", "botocore", "s3fs", "urllib3")
# Of every program.
COMMON_OPTIONS = frozenset(["-h", "--help", "--version", "-q", "--quiet", "-v", "--verbose"])


class ExitCode(IntEnum):
    DONE = 0
    SOME_ERRORS = 1  # ran to its end, and some tracks (stems, problems) are errors
    REFUSED = 2  # refused to start, or had to stop; can be run again
    INTERRUPTED = 130  # Ctrl-C, or SIGTERM


class Parser(argparse.ArgumentParser):
    """An argument parser with the options of all programs, whose errors are one line."""

    def __init__(self, *args: Any, **settings: Any):
        super().__init__(*args, **settings)
        self._given: list[str] = []
        self.add_argument("--version", action="version", version=f"stemfleet {__version__}")
        # Without defaults: those of a subcommand's parser would overwrite what stands before its name.
        loudness = self.add_mutually_exclusive_group()
        loudness.add_argument(
            "-q", "--quiet", action="store_true", default=argparse.SUPPRESS, help="only errors and results"
        )
        loudness.add_argument(
            "-v",
            "--verbose",
            action="count",
            default=argparse.SUPPRESS,
            help="log what happens, and where an error was raised (-vv: more of it)",
        )

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        if message.startswith("the following arguments are required") and (wrong := self._unknown()):
            message = f"unrecognized arguments: {' '.join(wrong)}"  # the likelier cause: one is misspelt
        print_error(f"{message} (see {self.prog} --help)")
        self.exit(ExitCode.REFUSED)

    def _unknown(self) -> list[str]:
        """The options on the command line that are neither known nor short for one that is."""
        names = [word.partition("=")[0] for word in self._given if word.startswith("--") and word != "--"]
        known = tuple(self._option_string_actions)
        return [name for name in names if not any(option.startswith(name) for option in known)]


Work = Callable[[argparse.Namespace, bool], int]  # the arguments, and whether to be quiet -> exit code


def run(
    parser: Callable[[str], argparse.ArgumentParser],
    work: Work,
    arguments: Sequence[str] | None,
    prog: str,
) -> int:
    """Parses `arguments` (None: those of the process) and does the work; returns the exit code.

    Whatever is raised ends here: an error of ours, and one of the operating system, as one line on stderr.
    """
    verbosity = 0
    try:
        args = parser(prog).parse_args(arguments)
        quiet, verbosity = vars(args).pop("quiet", False), vars(args).pop("verbose", 0)
        set_up_logging(verbosity)
        with sigterm_as_ctrl_c():
            return work(args, quiet)
    except SystemExit as exit_:  # argparse has printed a help text, a version or an error
        if exit_.code == signal.SIGTERM:  # Ray's own handler, while it starts
            return interrupted()
        return int(exit_.code or 0)
    except KeyboardInterrupt:
        return interrupted()
    except BrokenPipeError:  # whoever reads our output has closed it, as `head` does
        silence = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(silence, stream.fileno())
        return ExitCode.REFUSED
    except (SeparationError, ModuleNotFoundError, OSError) as error:
        if verbosity:
            print_failure(error)
        if sentence := sentence_of(error):
            print_error(sentence)
        elif not verbosity:
            print_failure(error)
    except Exception as error:  # Python's own exit code would be 1, which says that it ran to its end
        print_failure(error)
    return ExitCode.REFUSED


def interrupted() -> ExitCode:
    print("stopped; run the same command again", file=sys.stderr)
    return ExitCode.INTERRUPTED


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM, as a cluster or a service manager ends a process, raises KeyboardInterrupt, too."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    is_ours = before == signal.SIG_DFL and threading.current_thread() is threading.main_thread()
    if is_ours:
        signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGTERM, before)


def sentence_of(error: SeparationError | ModuleNotFoundError | OSError) -> str:
    """What a user can do something about, as one sentence; empty for an error that is a bug of ours."""
    if isinstance(error, SeparationError):
        return str(error)
    if isinstance(error, OSError):
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join([*names, error.strerror]) if error.strerror else ""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return ""
    return f"{package} is not installed: pip install 'stemfleet[{EXTRAS[package]}]'"


def print_error(sentence: str) -> None:
    print(f"error: {shown(sentence)}", file=sys.stderr, flush=True)


def print_failure(error: BaseException) -> None:
    """An error that nobody foresaw: the traceback, one entry per line whatever its message holds."""
    for line in failure(error):
        print(shown(line), file=sys.stderr, flush=True)


def failure(error: BaseException) -> list[str]:
    """The lines of a traceback, causes first. A message is one line, even if it has line breaks in it."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = failure(cause) if cause else []
    frames = [line for frame in traceback.format_tb(error.__traceback__) for line in frame.splitlines()]
    return [*before, *frames, f"{type(error).__name__}: {error}"]


class OneLine(logging.Formatter):
    """A log record on one line, without credentials and without what steers a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


def set_up_logging(verbosity: int) -> None:
    """0: warnings, as Python has them; 1: INFO; 2 and more: DEBUG. To stderr, whole lines, redacted."""
    if not verbosity:
        if logging.lastResort:
            logging.lastResort.setFormatter(OneLine())
        return
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.DEBUG if verbosity > 1 else logging.INFO)
    for name in TOO_TALKATIVE:
        logging.getLogger(name).setLevel(logging.INFO)
