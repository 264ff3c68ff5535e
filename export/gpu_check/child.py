"""A step in a process of its own, with a limit of time: what hangs or dies must not end the check."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Figures = dict[str, Any]  # as JSON takes them


class DoesNotHold(Exception):
    """Why a step does not hold."""


class Child:
    """A function of a step, begun in a process of its own."""

    def __init__(
        self,
        folder: Path,
        function: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        module: str = "export.gpu_check.process",
    ):
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(folder), function, *arguments],
            env=os.environ | dict(environment or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def result(self, limit_s: float | None = None) -> Figures:
        """Waits for its figures; raises `DoesNotHold` where it has none, with the reason that it gives."""
        try:
            output, errors = self._process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            raise DoesNotHold(f"not done within {limit_s:g} s") from None
        lines = output.splitlines()
        try:
            result = json.loads(lines[-1]) if lines else {}
        except ValueError:
            result = {}
        if "figures" in result:
            figures: Figures = result["figures"]
            return figures
        died = f"the process ended with {self._process.returncode}"
        raise DoesNotHold(result.get("reason") or ": ".join([died, *errors.splitlines()[-1:]]))


def result_of(
    folder: Path, function: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> Figures:
    """The figures of a function of a step, from another process."""
    return Child(folder, function, *arguments, environment=environment).result()
