"""Connecting to the Ray cluster, and what Ray raises as one sentence."""

import logging
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import RayError, RayTaskError

from separation.errors import SeparationError


class ClusterError(SeparationError):
    """The cluster does not answer, or stopped the job."""


@contextmanager
def connect() -> Iterator[None]:
    """Joins the cluster at RAY_ADDRESS, or starts one on this machine; what Ray raises is a `ClusterError`.

    A process that has joined a cluster stays in it.

    Ray logs from `--verbose` on: with fewer lines than its own default, a job's log stays readable.
    """
    on_sigterm = signal.getsignal(signal.SIGTERM)
    level = min(logging.getLogger().level, logging.WARNING)
    if level == logging.WARNING:  # it copies 20 lines of the dashboard's log, which a job does without
        logging.getLogger("ray._private.services").setLevel(logging.CRITICAL)
    try:
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
