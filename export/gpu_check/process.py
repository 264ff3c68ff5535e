"""python -m export.gpu_check.process FOLDER FUNCTION ARGUMENT...: one step; its last line is JSON."""

import json
import sys
from pathlib import Path

from export.gpu_check import load, steps
from export.gpu_check.case import Case
from export.gpu_check.child import DoesNotHold
from separation.errors import SeparationError


def main(folder: str, function: str, *arguments: str) -> None:
    work = getattr(steps, function, None) or getattr(load, function)
    try:
        print(json.dumps({"figures": work(Case(Path(folder)), *arguments)}))
    except (DoesNotHold, SeparationError) as error:
        print(json.dumps({"reason": str(error)}))
    except Exception as error:  # of onnxruntime, whose exceptions share no base
        print(json.dumps({"reason": f"{type(error).__name__}: {error}"}))


if __name__ == "__main__":
    main(*sys.argv[1:])
