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

import numpy as np
import pyarrow.compute as pc

from jobs.benchmark.result import spread
from jobs.pipeline.cost.summary import DemucsComparison
from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from jobs.pipeline.output import tables
from separation.audio import limits
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.mixes import read_mix
from separation.contract import HTDEMUCS
from separation.errors import SeparationError, UsageError
from separation.models.bag import RestOfMix
from separation.models.graph import ON_GPU
from separation.store.filesystems import join

DEMUCS_OVERLAP = 0.25  # default of demucs's `apply_model` (4.1.0)


class ReferenceFailed(SeparationError):
    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"demucs did not run; it needs the export extra (pip install '.[export]'): {self.reason}"


@dataclass(frozen=True, slots=True)
class Reference:
    """demucs over the catalogue once."""

    audio_s: float
    load_s: float
    work_s: float

    @property
    def x_realtime(self) -> float:
        return self.audio_s / self.work_s


@dataclass(frozen=True, slots=True)
class Separated:
    """A track that the job has done; `clip_factor` is the gain that its stems were given against clipping."""

    track_id: str
    uri: str
    clip_factor: float


def check(job: Job | JobRequest, bag: str | None) -> None:
    """Raises `UsageError` where demucs cannot do the same as `job`; `bag` is as for `run_demucs`."""
    rests = [stem for stem in job.options.chosen(job.bag.stems) if isinstance(job.bag.stems[stem], RestOfMix)]
    if rests:
        raise UsageError(
            f"--compare demucs: {rests[0]} is a rest of the mix, which demucs does not give; --stems can "
            "leave it out"
        )
    if job.options.shifts:
        raise UsageError("--compare demucs: demucs draws its shifts at random; compare without --shifts")
    for name, contract in job.contracts.items():
        if any(getattr(contract, rule) != getattr(HTDEMUCS, rule) for rule in ("window", "edges", "level")):
            raise UsageError(
                f"--compare demucs: the contract {name} is not demucs's; --stems can leave it out"
            )
    origin_of(job, bag)
    overlap_of(job)


def origin_of(job: Job | JobRequest, bag: str | None) -> str:
    """The checkpoints of the job's graphs, as on the command line of `python -m export`."""
    if bag:
        return bag
    origins = dict.fromkeys(job.bag.graphs[graph].origin for graph in job.graphs)
    if len(origins) > 1:
        raise UsageError(
            "--compare demucs: its graphs were made from different checkpoints "
            f"({', '.join(origin or 'not stated' for origin in origins)}); --stems takes those of one, or "
            "--bag names one for all"
        )
    if not (origin := next(iter(origins))):
        raise UsageError("--compare demucs: bag.json does not say where its checkpoints are; --bag does")
    return origin


def overlap_of(job: Job | JobRequest) -> float:
    """The overlap, a fraction of a segment, by which demucs places chunks as the job does."""
    if job.options.overlap is not None:
        return job.options.overlap
    own = (1 - contract.stride / contract.segment for contract in job.contracts.values())
    if (found := next(filter(job.lays_the_same_grids, (DEMUCS_OVERLAP, *own)), None)) is not None:
        return found
    raise UsageError(
        "--compare demucs: its graphs overlap differently by default; --overlap gives one to all"
    )


def run_demucs(job: Job, threads: int, out: Path, bag: str | None, trust: bool) -> Reference:
    """Runs `python -m export.htdemucs.reference` over the tracks that `job` has separated.

    `bag` names the checkpoints as on the command line of `python -m export`; by default bag.json does.
    """
    spec = {
        "tracks": [[track.track_id, track.uri] for track in separated(job)],
        "origin": origin_of(job, bag),
        "trust": trust,
        "stems": list(job.stems),
        "overlap": overlap_of(job),
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
    """Per stem, over all tracks of the job's output: demucs's energy over that of the difference, in dB.

    The job's files are decoded, and `clip_factor` is undone. Files of 16 bits cannot come closer than their
    own rounding, about 98 dB below full scale; `--float32` shows the models alone.
    """
    tracks, pool = separated(job), DecoderPool()
    found = {}
    for stem in job.stems:
        energy = difference = 0.0
        for track in tracks:
            path = join(job.output, f"stems/{job.options.path(track.track_id, stem)}")
            theirs, _ = read_mix(
                f"{out}/{track.track_id}/{stem}.wav", limits.DEFAULTS, pool, job.store, job.sample_rate
            )
            ours, _ = read_mix(path, limits.DEFAULTS, pool, job.store, job.sample_rate)
            theirs = theirs.astype(np.float64)
            energy += float(np.sum(theirs**2))
            difference += float(np.sum((theirs - ours / track.clip_factor) ** 2))
        found[stem] = 10 * math.log10(energy / difference) if difference else math.inf
    return found


def separated(job: Job) -> list[Separated]:
    """The tracks that are done, from the tables at the job's output."""
    rows = tables.read_table(job.output, "tracks", job.store, ["track_id", "uri", "status", "clip_factor"])
    done = rows.filter(pc.field("status") == "ok").to_pylist()
    return [Separated(row["track_id"], row["uri"], row["clip_factor"] or 1.0) for row in done]


def compared(
    ours: Sequence[float], references: Sequence[Reference], snr_db: dict[str, float]
) -> DemucsComparison:
    """`ours` are the job's speeds, x realtime, in the repeats that the `references` ran after."""
    return DemucsComparison(
        x_realtime=spread([reference.x_realtime for reference in references]),
        load_s=spread([reference.load_s for reference in references]),
        ratio=spread([mine / theirs.x_realtime for mine, theirs in zip(ours, references, strict=True)]),
        snr_db=snr_db,
    )
