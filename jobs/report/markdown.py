"""From facts to Markdown: the page without charts and sounds, for a pull request or a terminal."""

import html
import re
from collections.abc import Iterable, Sequence

from jobs.report import errors_csv, formatting
from jobs.report.entries import KindGroup
from jobs.report.facts import Facts
from jobs.report.made_with import describe
from jobs.report.page.render import time_shares
from jobs.report.standing import sentence


def render(facts: Facts) -> str:
    lines = [f"# stemfleet: {text(facts.output)}", "", f"Made {formatting.utc_time(facts.made_at)}.", ""]
    if standing := sentence(facts):
        lines += [text(standing, 600), ""]
    if facts.damaged_tables:
        names = text(", ".join(facts.damaged_tables))
        lines += [f"Cannot be read, so their tracks are left out: {names}", ""]
    lines += _benchmark(facts)
    if not facts.runs:
        return "\n".join([*lines, "Nothing is finished yet.", ""])
    lines += [*_summary(facts), "", "## Errors", "", *_errors(facts), ""]
    lines += ["## Where the time went", "", "Seconds of workers and sessions on all nodes, summed.", ""]
    rows = [
        (row.name, formatting.duration(row.seconds), formatting.percent(row.share))
        for row in time_shares(facts)
    ]
    lines += [*table(("step", "time", "share"), rows), "", "## Inference", ""]
    lines += [*_graphs(facts), ""]
    if facts.warnings:
        lines += ["## Warnings", "", *_groups(facts.warnings), ""]
    lines += ["## Slowest tracks", ""]
    slow = [
        (
            each.track_id,
            formatting.duration(each.duration_s),
            formatting.duration(each.chunk_s),
            each.longest_step,
        )
        for each in facts.slowest
    ]
    lines += [
        *table(("track", "length", "per chunk", "mostly"), slow),
        "",
        *_made_with(facts),
        *_licences(facts),
        "## Runs",
        "",
    ]
    runs = [
        (
            run.run_id,
            formatting.utc_time(run.started_at),
            formatting.duration(run.wall_s),
            run.done,
            run.failed,
            len(run.nodes),
            facts.ends.get(run.run_id, "–"),
        )
        for run in facts.runs
    ]
    return "\n".join([*lines, *table(("run", "began", "took", "done", "errors", "nodes", "end"), runs), ""])


def _benchmark(facts: Facts) -> list[str]:
    found = facts.benchmark
    if not found:
        return []
    lines = [f"## Benchmark {text(found.benchmark_id)}", ""]
    if not found.summary:
        lines += ["It is still running, or was stopped: its figures come at its end.", ""]
    for each in found.tables:
        lines += [f"### {text(each.title)}", "", *table(each.columns, each.rows), ""]
    return [*lines, f"What follows is its last run, {text(found.run.rpartition('/')[2])}.", ""]


def _summary(facts: Facts) -> list[str]:
    total = f" of {facts.catalogue_tracks:,}" if facts.catalogue_tracks else ""
    speed = (
        f"; {formatting.three_digits(facts.audio_s / facts.wall_s)} times real time" if facts.wall_s else ""
    )
    cost = facts.cost
    lines = [
        f"- {facts.done:,} tracks done{total}, {facts.failed:,} in error",
        f"- {formatting.audio_length(facts.audio_s)} of audio in {formatting.duration(facts.wall_s)}{speed}",
    ]
    if cost is None:
        return [*lines, "- cost: no price is known"]
    node_hours = formatting.three_digits(cost.node_hours)
    return [*lines, f"- cost to date: {formatting.dollars(cost.usd)} for {node_hours} node-hours"]


def _graphs(facts: Facts) -> list[str]:
    rows = []
    for each in facts.graphs:
        used = facts.utilisation(each)
        busy, waiting = map(formatting.percent, used) if used else ("unknown", "unknown")
        rows.append(
            (
                each.graph,
                ", ".join(each.stems),
                each.device,
                each.provider,
                each.chunks,
                formatting.three_digits(each.x_realtime),
                busy,
                waiting,
            )
        )
    return table(("graph", "stems", "device", "provider", "chunks", "× real time", "busy", "waiting"), rows)


def _made_with(facts: Facts) -> list[str]:
    rows = describe(facts.record)
    return ["## Made with", "", *table(("", "the last run"), rows, 2_000), ""] if rows else []


def _licences(facts: Facts) -> list[str]:
    if not facts.licences:
        return []
    rows = [
        (", ".join(graphs), licence.weights, licence.terms, licence.said_at)
        for licence, graphs in facts.licences.items()
    ]
    names = ("graph", "weights", "terms", "said at")
    return ["## Licence of the models", "", *table(names, rows), ""]


def _errors(facts: Facts) -> list[str]:
    if not facts.errors:
        return ["None."]
    return [f"All of them are in {text(errors_csv.NAME)}.", "", *_groups(facts.errors)]


def _groups(groups: Sequence[KindGroup]) -> list[str]:
    lines = []
    for group in groups:
        lines.append(f"- **{text(group.kind)}**: {group.count:,}")
        lines += [
            f"  - {text(each.sentence, 300)} ({each.count:,}, as {text(each.track_id)})"
            for each in group.examples
        ]
        lines += [f"  - {group.unlisted:,} with other sentences"] if group.unlisted else []
    return lines


def table(
    names: Sequence[str], rows: Iterable[Sequence[object]], longest: int = formatting.LONGEST_NAME
) -> list[str]:
    head = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return head + [f"| {' | '.join(text(str(cell), longest) for cell in row)} |" for row in rows]


def text(found: str, longest: int = formatting.LONGEST_NAME) -> str:
    """`found` on one line, escaped: nothing in it acts as Markdown or HTML."""
    escaped = re.sub(
        r"([\\`*_{}\[\]|~:@$!])", r"\\\1", html.escape(formatting.safe_text(found, longest), quote=False)
    )
    return re.sub(r"^(?=[-+#=])", r"\\", escaped)  # these begin a list or a heading
