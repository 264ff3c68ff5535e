"""demucs beside the job: the same files on the same cores, and how far apart the stems are."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from jobs.benchmark.result import spread
from jobs.pipeline.job import Job
from jobs.pipeline.output import tables
from separation.audio import limits
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.mixes import read_mix
from separation.errors import SeparationError, UsageError
from separation.models.specialist import ON_GPU
from separation.store.objects import join


class ReferenceFailed(SeparationError):
    def __init__(self, words: str):
        super().__init__(words)
        self.words = words

    def __str__(self) -> str:
        return f"demucs did not run; it needs the export extra (pip install '.[export]'): {self.words}"


@dataclass(frozen=True, slots=True)
class Reference:
    """demucs over the catalogue once."""

    audio_s: float
    load_s: float
    work_s: float

    @property
    def x_realtime(self) -> float:
        return self.audio_s / self.work_s


def run_demucs(job: Job, threads: int, out: Path, bag: str | None, trust: bool) -> Reference:
    """`python -m export.htdemucs.reference` over the tracks that `job` has separated.

    `bag` are the words after `python -m export` that name the checkpoints; by default bag.json has them.
    """
    if not (origin := bag or job.bag.origin):
        raise UsageError("--compare demucs: bag.json does not say where its checkpoints are; --bag does")
    spec = {
        "tracks": [[row["track_id"], row["uri"]] for row in done(job)],
        "origin": origin,
        "trust": trust,
        "stems": list(job.stems),
        "overlap": job.options.overlap,
        "threads": threads,
        "device": "cuda" if job.plan.provider in ON_GPU else "cpu",
        "out": str(out),
    }
    with tempfile.TemporaryDirectory(prefix="stemfleet-") as folder:
        path = Path(folder) / "spec.json"
        path.write_text(json.dumps(spec))
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-m", "export.htdemucs.reference", str(path)]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ended.returncode:
        raise ReferenceFailed(ended.stderr.strip()[-1000:])
    return Reference(**json.loads(ended.stdout.splitlines()[-1]))


def snr_db(job: Job, out: Path) -> dict[str, float]:
    """Of each stem, over all tracks of the job's output: demucs's energy over that of the difference, in dB.

    The job's files are decoded, and `clip_factor` undone: 16-bit ones cannot come closer than their
    own rounding, about 98 dB below full scale. `--float32` shows the models alone.
    """
    rows, pool = done(job), DecoderPool()
    found = {}
    for stem in job.stems:
        energy = difference = 0.0
        for row in rows:
            path = join(job.output, f"stems/{job.options.path(row['track_id'], stem)}")
            theirs, _ = read_mix(f"{out}/{row['track_id']}/{stem}.wav", limits.DEFAULTS, pool)
            ours, _ = read_mix(path, limits.DEFAULTS, pool)
            theirs = theirs.astype(np.float64)
            energy += float(np.sum(theirs**2))
            difference += float(np.sum((theirs - ours / (row["clip_factor"] or 1.0)) ** 2))
        found[stem] = 10 * math.log10(energy / difference) if difference else math.inf
    return found


def done(job: Job) -> list[dict[str, Any]]:
    """The job's tracks that were separated, as rows of its table."""
    return tables.read_table(job.output, "tracks").filter(pc.field("status") == "ok").to_pylist()


def compared(ours: Sequence[float], references: Sequence[Reference], snr: dict[str, float]) -> dict[str, Any]:
    """`ours` are the job's x realtime in the repeats that `references` ran after."""
    ratios = [mine / theirs.x_realtime for mine, theirs in zip(ours, references, strict=True)]
    return {
        "with": "demucs",
        "x_realtime": spread([reference.x_realtime for reference in references]),
        "load_s": spread([reference.load_s for reference in references]),
        "ratio": spread(ratios),
        "snr_db": snr,
    }
