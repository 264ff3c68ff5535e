"""Connecting to the Ray cluster, and what Ray raises as one sentence."""

import logging
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import ray
import ray._private.worker
from ray.exceptions import RayError, RayTaskError

from separation.errors import SeparationError

log = logging.getLogger(__name__)
# As [2026-11-28 10:40:19,701 I 25854 25854]
CORE_LINE = re.compile(r"\[\d{4}-\d\d-\d\d [\d:,]+ [A-Z] \d+ \d+\] ")


class ClusterError(SeparationError):
    """The cluster does not answer, or stopped the job."""


@contextmanager
def connect() -> Iterator[None]:
    """Joins the cluster at RAY_ADDRESS, or starts one on this machine; what Ray raises is a `ClusterError`.

    A process that has joined a cluster stays in it.

    Ray logs from `--verbose` on: without its lines, a job's log stays readable, and its stdout JSON.
    """
    on_sigterm = signal.getsignal(signal.SIGTERM)
    level = min(logging.getLogger().level, logging.WARNING)
    ray._private.worker.print_to_stdstream = log_message
    is_quiet = level == logging.WARNING
    if is_quiet:
        keep_quiet()
    try:
        with without_core_lines() if is_quiet else nullcontext():
            ray.init(logging_level=level, log_to_driver=False, ignore_reinit_error=True)
    except ConnectionError as error:
        raise ClusterError(f"no Ray cluster answers: {error}") from error
    except Exception as error:  # Ray raises that very class where a part of it does not start in time
        raise ClusterError(f"Ray does not start: {' '.join(str(error).split())}") from error
    if on_sigterm and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray's own would end the process with the exit code 15
    try:
        yield
    except RayError as error:
        raise ClusterError(cause(error)) from error


def keep_quiet() -> None:
    """Silences what Ray says of itself where a job's user can do nothing about it."""
    # Of the C++ core in this process, such as that an actor's arguments are in the object store.
    # The daemons of a Ray that is started here inherit it; those of a cluster have their own.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    for name in (
        "ray._private.authentication.authentication_token_setup",  # says that there are tokens
        "ray._private.services",  # copies 20 lines of the dashboard's log
        "ray.data._internal.progress",  # says that its progress bars are off
    ):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def without_core_lines() -> Iterator[None]:
    """Holds back what the block writes to stderr, then passes on all but lines of Ray's C++ core.

    It writes to the descriptor, and even says that it read RAY_BACKEND_LOG_LEVEL.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if not CORE_LINE.match(line):
                    print(line, file=sys.stderr)


def log_message(data: dict[str, Any], ignore_prefix: bool) -> None:
    """In place of the function by which Ray prints messages of its daemons to stdout: logs them.

    Such as that a node has started many processes. What stops a job is raised besides; that a node runs out
    of memory is not, and is a warning.
    """
    for line in data["lines"]:
        log.log(logging.WARNING if "memory" in line else logging.INFO, "%s: %s", data["pid"], line)


def cause(error: Exception) -> str:
    """The sentence of what a stage raised, without Ray's layers around it; Ray's own text otherwise."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, RayTaskError):
            inner = inner.cause
        if isinstance(inner, SeparationError):
            return str(inner)
        inner = inner.__cause__
    # An actor that died in its constructor leaves its exception as text alone.
    ours = re.findall(r"^separation\.errors\.\w+: (.+)$", str(error), re.MULTILINE)
    return ours[-1] if ours else str(error)
