"""Which settings to try beside the derived plan, and which of them to recommend."""

from collections.abc import Mapping
from typing import Any

from jobs.pipeline.sizing import Plan

WORTH = 1.05  # of the derived plan's throughput: single short runs differ by 3 % on their own (measured)


def settings(plan: Plan, cores: int) -> list[dict[str, Any]]:
    """Overrides of `plan`, one or two numbers away from it; the first is the plan itself.

    On CPUs threads x turns stays the node's cores; on a GPU the batch varies. Sections vary on both, and so
    do the pools: twice the actors, each with half of what one had.
    """
    found: list[dict[str, Any]] = [{}]
    if plan.gpus_per_actor:
        found += [{"batch": batch} for batch in (4, 8, 16) if batch != plan.batch]
    else:
        threads = sorted({1, max(1, cores // 2), cores} - {plan.threads})
        found += [{"threads": each, "turns": max(1, cores // each)} for each in threads]
        found.append({"turns": plan.turns * 2})
    found.append(_twice_the_actors(plan))
    found += [
        {"chunks_per_section": chunks}
        for chunks in (8, 32)
        if chunks != plan.chunks_per_section and chunks <= plan.store_chunks
    ]
    return found


def _twice_the_actors(plan: Plan) -> dict[str, Any]:
    share = "gpus_per_actor" if plan.gpus_per_actor else "cpus_per_actor"
    return {"actors": 2 * plan.actors, share: int(50 * getattr(plan, share)) / 100}


def name(setting: Mapping[str, Any]) -> str:
    """The setting as options of a command line; empty for the derived plan."""
    return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in setting.items())


def recommend(x_realtime: Mapping[str, float]) -> str:
    """The fastest setting, by name; the derived plan unless another is faster by more than noise."""
    best = max(x_realtime, key=lambda setting: x_realtime[setting])
    return best if x_realtime[best] > WORTH * x_realtime[""] else ""
