"""Hours and dollars for `jobs.separate --dry-run`, from the last benchmark."""

from statistics import mean

import pyarrow.compute as pc

from jobs.pipeline.cost import projection
from jobs.pipeline.cost.projection import Projection
from jobs.pipeline.cost.summary import Summary, find_last
from jobs.pipeline.job import Job
from jobs.pipeline.output import tables


def of_catalogue(job: Job, tracks: int, benchmark: str | None) -> list[str]:
    """Lines to print for the `tracks` that are left. Without a benchmark they say how to make one."""
    if not tracks:
        return []
    summary = find_last(benchmark or job.output, job.store)
    if summary is None:
        return [f"estimate: none, as {job.output} holds no benchmark; python -m jobs.benchmark makes one"]
    share = _share(job, summary)
    if share is None:
        return [
            f"estimate: none, as the benchmark of {summary.created_at[:10]} measured other models "
            f"({summary.models}); python -m jobs.benchmark --models {job.bag.uri} measures these"
        ]
    mean_s, origin = _mean_track_s(job, summary)
    hours = tracks * mean_s / 3600
    throughputs = projection.measured(summary, None)
    lines = [
        f"estimate: {tracks} tracks of {mean_s / 60:.1f} minutes ({origin}), {hours:,.1f} hours of audio"
    ]
    lines += [show(projection.project(hours * share, throughput)) for throughput in throughputs]
    stems = f"{', '.join(job.options.chosen(job.bag.stems))}; measured with {', '.join(summary.stems)}"
    return lines + [f"  {line}" for line in projection.assumptions(throughputs, stems)]


def show(projected: Projection) -> str:
    """A projection in one line."""
    spot = "" if projected.usd_spot is None else f", {projected.usd_spot:,.2f} USD spot"
    return (
        f"  {projected.throughput.node}: {projected.node_hours:,.1f} node-hours, "
        f"{projected.usd:,.2f} USD{spot}; {projected.nodes:,} nodes take {projected.hours:,.1f} h"
    )


def _share(job: Job, summary: Summary) -> float | None:
    """The inference of the job's graphs over that of the benchmark's; None if they are of other models.

    A graph costs what it took in the benchmark, whichever of its rows are wanted; one that did not run there
    costs the mean of those that did. An older summary names its folder, and stems, each with its own graph.
    """
    if summary.graphs:
        known = [(graph.sha256, graph.infer_s) for graph in summary.graphs.values()]
        wanted = [job.bag.graphs[graph].sha256 for graph in job.graphs]
        if not dict(known).keys() >= {*wanted}:
            return None
    elif summary.models.rstrip("/") == job.bag.uri:
        known, wanted = [(stem, 1.0) for stem in summary.stems], list(job.graphs)
    else:
        return None
    measured = [seconds for _, seconds in known if seconds]
    if not measured:  # silent tracks alone
        return 1.0
    return sum(dict(known).get(graph) or mean(measured) for graph in wanted) / sum(measured)


def _mean_track_s(job: Job, summary: Summary) -> tuple[float, str]:
    """The mean length of a track, in seconds, and where it comes from: the output, or else the benchmark."""
    durations = tables.read_table(job.output, "tracks", job.store, ["duration_s"])["duration_s"]
    seconds = pc.mean(durations).as_py()
    if seconds is not None:
        return seconds, f"the mean of {len(durations) - durations.null_count} at the output"
    return summary.figures.mean_track_s, "assumed: as in the benchmark"
