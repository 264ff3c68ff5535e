"""Which settings to try beside the derived plan, and which of them to recommend."""

from collections.abc import Mapping

from jobs.pipeline.sizing import JobPlan

WORTHWHILE = 1.05  # times the derived plan's speed: single short runs differ by 3 % on their own (measured)
Setting = dict[str, int | float]  # options of a plan that differ from the derived ones


def settings(plan: JobPlan, cores: int) -> list[Setting]:
    """Settings that differ from `plan` in one or two numbers; the first is the plan itself.

    On CPUs threads x turns stays the node's cores; on a GPU the batch varies. On both, sections vary, and
    pools have twice the actors, each with half the share of one.
    """
    found: list[Setting] = [{}]
    if plan.gpus_per_actor:
        found += [{"batch": batch} for batch in (1, 2, 4, 8) if batch != plan.batch]
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


def _twice_the_actors(plan: JobPlan) -> Setting:
    share = "gpus_per_actor" if plan.gpus_per_actor else "cpus_per_actor"
    return {"actors": 2 * plan.actors, share: int(50 * getattr(plan, share)) / 100}


def name(setting: Mapping[str, int | float]) -> str:
    """The setting as options of a command line; empty for the derived plan."""
    return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in setting.items())


def recommend(x_realtime: Mapping[str, float]) -> str:
    """The fastest setting, by name; the derived plan unless another is faster by more than noise."""
    best = max(x_realtime, key=lambda setting: x_realtime[setting])
    return best if x_realtime[best] > WORTHWHILE * x_realtime[""] else ""
