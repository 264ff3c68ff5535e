"""Facts -> Markdown: the page's figures without its pictures and sounds, for a pull request or a terminal."""

import html
import re
from collections.abc import Iterable, Sequence

from jobs.report import wording
from jobs.report.facts import Facts
from jobs.report.page import shares


def render(facts: Facts) -> str:
    lines = [f"# stemfleet: {text(facts.output)}", "", f"Made {wording.moment(facts.made_at)}.", ""]
    lines += _benchmark(facts)
    if not facts.runs:
        return "\n".join([*lines, "Nothing is finished yet.", ""])
    lines += [*_summary(facts), ""]
    lines += ["## Where the time went", "", "Seconds of workers and sessions on all nodes, summed.", ""]
    rows = [(row.name, wording.duration(row.seconds), wording.percent(row.share)) for row in shares(facts)]
    lines += [*table(("step", "time", "share"), rows), "", "## The specialists", ""]
    lines += [*_specialists(facts), "", "## Errors", ""]
    lines += [*_errors(facts), "", "## Slowest tracks", ""]
    slow = [
        (each.track_id, wording.duration(each.duration_s), wording.duration(each.chunk_s), each.mostly)
        for each in facts.slowest
    ]
    lines += [*table(("track", "length", "a chunk", "mostly"), slow), "", "## Runs", ""]
    runs = [
        (
            run.run_id,
            wording.moment(run.started_at),
            wording.duration(run.wall_s),
            run.done,
            run.failed,
            len(run.nodes),
        )
        for run in facts.runs
    ]
    return "\n".join([*lines, *table(("run", "began", "took", "done", "errors", "nodes"), runs), ""])


def _benchmark(facts: Facts) -> list[str]:
    found = facts.benchmark
    if not found:
        return []
    lines = [f"## Benchmark {text(found.benchmark_id)}", ""]
    if not found.summary:
        lines += ["It still runs, or was stopped: its figures come at its end.", ""]
    for sheet in found.sheets:
        lines += [f"### {text(sheet.title)}", "", *table(sheet.names, sheet.rows), ""]
    return [*lines, f"What follows is its last run, {text(found.run.rpartition('/')[2])}.", ""]


def _summary(facts: Facts) -> list[str]:
    total = f" of {facts.catalogue_tracks:,}" if facts.catalogue_tracks else ""
    pace = f"; {wording.number(facts.audio_s / facts.wall_s)} times real time" if facts.wall_s else ""
    cost = facts.cost
    return [
        f"- {facts.done:,} tracks done{total}, {facts.failed:,} in error",
        f"- {wording.hours(facts.audio_s)} of audio in {wording.duration(facts.wall_s)}{pace}",
        f"- cost to date: {wording.dollars(cost.usd)} for {wording.number(cost.node_hours)} node-hours"
        if cost
        else "- cost: no price is known",
    ]


def _specialists(facts: Facts) -> list[str]:
    rows = []
    for each in facts.specialists:
        used = facts.utilisation(each)
        busy, waiting = map(wording.percent, used) if used else ("unknown", "unknown")
        rows.append(
            (
                each.stem,
                each.device,
                each.provider,
                each.chunks,
                wording.number(each.x_realtime),
                busy,
                waiting,
            )
        )
    return table(("stem", "device", "provider", "chunks", "× real time", "busy", "waiting"), rows)


def _errors(facts: Facts) -> list[str]:
    if not facts.errors:
        return ["None."]
    lines = []
    for error in facts.errors:
        lines.append(f"- **{text(error.kind)}**: {error.count:,}")
        lines += [
            f"  - {text(each.sentence, 300)} ({each.count:,}, as {text(each.track_id)})"
            for each in error.examples
        ]
    return lines


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    head = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    return head + [f"| {' | '.join(text(str(cell)) for cell in row)} |" for row in rows]


def text(found: str, longest: int = wording.LONGEST_NAME) -> str:
    """`found` as plain text on one line: nothing in it is Markdown or HTML."""
    escaped = re.sub(
        r"([\\`*_{}\[\]|~:@$!])", r"\\\1", html.escape(wording.plain(found, longest), quote=False)
    )
    return re.sub(r"^(?=[-+#=])", r"\\", escaped)  # at its start, a list or a heading
