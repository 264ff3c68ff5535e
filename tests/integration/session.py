"""The programs of `jobs/` in one process that stays connected to Ray, so that its workers serve all of them.

    python -m tests.integration.session

Reads one line per run, [program, *arguments] in JSON, and answers with [exit code, stdout, stderr].
"""

import importlib
import io
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from jobs.pipeline.ray_session import connect


class Session:
    """The other end: runs a program there as `subprocess.run` runs it in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", limit_s: float):
        self._process, self._limit_s = process, limit_s

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m PROGRAM ARGUMENTS`; raises subprocess.TimeoutExpired after the limit."""
        questions, answers = self._process.stdin, self._process.stdout
        assert questions and answers
        print(json.dumps([program, *arguments]), file=questions, flush=True)
        if not select.select([answers], [], [], self._limit_s)[0]:
            raise subprocess.TimeoutExpired([program, *arguments], self._limit_s)
        code, out, err = json.loads(answers.readline())
        return subprocess.CompletedProcess([program, *arguments], code, out, err)


@contextmanager
def start_session(environment: dict[str, str], limit_s: float) -> Iterator[Session]:
    """A session in the cluster that `environment` leads to; no run may take longer than `limit_s`."""
    command = [sys.executable, "-m", "tests.integration.session"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Session(process, limit_s)
        finally:
            process.kill()


def serve() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is not Python's writes there
    with connect():
        for line in sys.stdin:
            program, *arguments = json.loads(line)
            out, err = io.StringIO(), io.StringIO()
            with redirect_stdout(out), redirect_stderr(err):
                code = importlib.import_module(f"{program}.__main__").main(arguments)
            print(json.dumps([code, out.getvalue(), err.getvalue()]), file=answers, flush=True)


if __name__ == "__main__":
    serve()
