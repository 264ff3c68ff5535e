"""From facts to one HTML file that needs nothing else: no network, every name escaped, no script by default.

Its Content-Security-Policy allows its own style, by hash, and audio from data URIs, and nothing more. With a
table of tracks it allows the script of that table, by hash, and keeps it from making markup of text.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from jobs.report import errors_csv, formatting
from jobs.report.entries import GraphUse
from jobs.report.facts import Facts
from jobs.report.listening import CLIP_S, SampleSounds
from jobs.report.made_with import describe
from jobs.report.page import charts, colours
from jobs.report.page.axes import axis, length_ticks
from jobs.report.page.charts import Part
from jobs.report.page.links import link_to
from jobs.report.page.track_rows import TrackRows
from jobs.report.standing import sentence

FILES = files("jobs.report.page")
STAGE_LABELS = {
    "probe": "probe (decode once, for length and loudness)",
    "decode": "decode into chunks",
    "stitch": "stitch",
    "write": "encode and write",
}
NODES = 12  # listed
NO_MARKUP = "require-trusted-types-for 'script'; trusted-types 'none'"  # no innerHTML and the like
NO_LINKS = "base-uri 'none'; form-action 'none'"  # what default-src does not govern


@dataclass(frozen=True, slots=True)
class Share:
    """A row of the table of where the time went."""

    name: str
    colour: str  # CSS class
    seconds: float
    share: float


def render(
    facts: Facts, samples: Sequence[SampleSounds], page_folder: str, tracks: TrackRows | None = None
) -> str:
    """The page, which is to stand in `page_folder`: its links to stems are relative.

    `tracks` adds a table that can be sorted, searched and filtered.
    """
    style, script = (FILES.joinpath(name).read_text() for name in ("page.css", "tracks.js"))
    allowed = f"style-src {_digest(style)}; media-src data:"
    if tracks:
        allowed = f"script-src {_digest(script)}; {NO_MARKUP}; {allowed}"
    policy = f"default-src 'none'; {allowed}; {NO_LINKS}"
    environment = Environment(
        loader=PackageLoader("jobs.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(formatting, name)
        for name in (
            "duration",
            "audio_length",
            "three_digits",
            "percent",
            "dollars",
            "utc_time",
            "safe_text",
        )
    }
    of_graphs = colours.of_sounds(map(colours.key_of, facts.graphs))
    of_stems = colours.of_sounds(sound.name for each in samples for sound in each.sounds)
    environment.globals |= {
        "graph_colour": lambda graph: of_graphs[colours.key_of(graph)],
        "throughput": charts.throughput,
        "share_bar": share_bar,
        "busy_bar": lambda graph: busy_bar(facts, graph, of_graphs[colours.key_of(graph)]),
        "waveform": lambda sample, number: waveform(sample, number, of_stems[sample.sounds[number].name]),
        "length_axis": lambda sample: axis(length_ticks(sample.track.duration_s)),
        "link_to": lambda sample, stem: link_to(sample.track.stems.get(stem, ""), page_folder),
        "data_uri": data_uri,
        "clip_s": CLIP_S,
        "errors_csv": errors_csv.NAME,
        "json_of": partial(htmlsafe_json_dumps, separators=(",", ":"), allow_nan=False, ensure_ascii=False),
    }
    return environment.get_template("page.html").render(
        facts=facts,
        standing=sentence(facts),
        made_with=describe(facts.record),
        silent_nodes=facts.nodes[:NODES],
        samples=samples,
        shares=time_shares(facts),
        tracks=tracks,
        style=Markup(style),
        script=Markup(script),
        policy=Markup(policy),
    )


def _digest(source: str) -> str:
    """As a policy names a style or a script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def time_shares(facts: Facts) -> list[Share]:
    """Where the workers' time went, in the order of the data flow."""
    found = colours.of_sounds(map(colours.key_of, facts.graphs))
    graphs: dict[str, tuple[str, float]] = {}  # on all devices: colour and seconds
    for each in facts.graphs:
        seconds = graphs.get(each.graph, ("", 0.0))[1] + each.infer_s
        graphs[each.graph] = found[colours.key_of(each)], seconds
    waiting = sum(each.queue_s for each in facts.graphs)

    def stage(name: str) -> tuple[str, str, float]:
        return STAGE_LABELS[name], colours.OF_PARTS[name], facts.stages[name]

    rows = [
        *map(stage, ("probe", "decode")),
        ("waiting for a slot on the node", colours.OF_PARTS[colours.WAITING], waiting),
        *((f"graph {name}", colour, seconds) for name, (colour, seconds) in graphs.items()),
        *map(stage, ("stitch", "write")),
    ]
    total = sum(seconds for *_, seconds in rows)
    return [Share(*row, row[2] / total if total else 0.0) for row in rows]


def share_bar(rows: Sequence[Share]) -> Markup:
    parts = [Part(row.share, row.colour, f"{row.name}: {formatting.percent(row.share)}") for row in rows]
    return charts.bar(parts, "; ".join(part.title for part in parts))


def busy_bar(facts: Facts, graph: GraphUse, colour: str) -> Markup:
    busy, waiting = facts.utilisation(graph) or (0.0, 0.0)
    parts = [
        Part(busy, colour, f"in inference {formatting.percent(busy)}"),
        Part(waiting, colours.OF_PARTS[colours.WAITING], f"waiting for a slot {formatting.percent(waiting)}"),
    ]
    return charts.bar(parts, f"{graph.graph}: " + ", ".join(part.title for part in parts))


def waveform(sample: SampleSounds, number: int, colour: str) -> Markup:
    sound, length_s = sample.sounds[number], sample.track.duration_s
    clip = sample.clip_start_s / length_s, (sample.clip_start_s + sample.clip_s) / length_s
    return charts.waveform(sound.envelope, sample.peak, clip, colour, f"waveform of {sound.name}")


def data_uri(clip: bytes) -> str:
    return "data:audio/mpeg;base64," + base64.b64encode(clip).decode()
