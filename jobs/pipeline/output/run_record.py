"""run.json: what ran, in the words that the next run and a reader need."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from jobs.pipeline.sizing import Node
from separation import __version__
from separation.errors import UsageError
from separation.store.objects import join, put_bytes, read_bytes
from separation.store.redact import without_credentials

PACKAGES = ("ray", "numpy", "soundfile", "soxr", "pyarrow", "s3fs")


def settings(job: Job | JobRequest) -> dict[str, Any]:
    """What decides the samples at the output: two runs into one output must agree on it."""
    models = {stem: job.bag.specialists[stem].sha256 for stem in job.stems}
    return {"models": models, "precision": job.bag.precision, "options": asdict(job.options)}


def refuse_mixture(job: Job | JobRequest) -> None:
    """Raises `UsageError` if the output holds stems of other models or settings."""
    try:
        then = json.loads(read_bytes(join(job.output, "run.json")))["settings"]
    except FileNotFoundError:
        return
    now = json.loads(json.dumps(settings(job)))
    if differing := [name for name in now if now[name] != then.get(name)]:
        raise UsageError(
            f"{job.output} holds stems of other {' and '.join(differing)}: "
            + "; ".join(f"{name} were {then.get(name)}, are {now[name]}" for name in differing)
            + ". Choose another --output, or --force to do its tracks again"
        )


def write(
    job: Job,
    arguments: dict[str, Any],
    nodes: Sequence[Node],
    tracks: int | None = None,
    totals: dict[str, Any] | None = None,
) -> None:
    """`tracks` is how many the catalogue has, done or not; `totals` what this run did, once it has ended.

    Written before the first track too: an output that cannot be written is known by then.
    """
    record = {
        "run_id": job.run_id,
        "versions": {"stemfleet": __version__, **{package: version(package) for package in PACKAGES}},
        "settings": settings(job),
        "arguments": {
            name: without_credentials(value) if isinstance(value, str) else value
            for name, value in (arguments | {"output": job.output}).items()
        },
        "catalogue": {"tracks": tracks},
        "shifts_samples": job.options.grid_shifts,
        "plan": asdict(job.plan),
        "cluster": [asdict(node) for node in nodes],
        "price": {"usd_per_node_hour": arguments.get("price")},
        "totals": totals,
    }
    put_bytes(json.dumps(record, indent=2).encode(), join(job.output, "run.json"))
