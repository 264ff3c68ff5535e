"""Records what museval says of `cases`, frame by frame, into scores.json beside this file.

In an environment of its own, as museval brings scipy, pandas and an ffmpeg that has to be installed:

    python -m venv v && v/bin/pip install museval==0.4.1
    PYTHONPATH=. v/bin/python -m tests.jobs.evaluate.museval.record
"""

import importlib.util
import json
import math
from importlib.metadata import distribution, version
from pathlib import Path

import numpy as np

from tests.jobs.evaluate.museval.cases import RATE, cases


def load_metrics():
    """museval/metrics.py alone: the package's own __init__ asks for ffmpeg."""
    path = distribution("museval").locate_file("museval/metrics.py")
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record() -> dict[str, object]:
    metrics = load_metrics()
    scores = {}
    for name, (references, estimates) in cases().items():
        true, guess = (np.stack([side[stem].T for stem in references]) for side in (references, estimates))
        sdr = metrics.bss_eval(np.float64(true), np.float64(guess), window=RATE, hop=RATE)[0]
        scores[name] = {
            stem: [None if math.isnan(value) else value for value in row]
            for stem, row in zip(references, sdr.tolist(), strict=True)
        }
    versions = {package: version(package) for package in ("museval", "numpy", "scipy")}
    return {"versions": versions, "sdr_db": scores}


if __name__ == "__main__":
    Path(__file__).with_name("scores.json").write_text(json.dumps(record(), indent=1) + "\n")
