"""Facts -> one HTML file that needs nothing else: no network, no script, every name escaped.

The page's own policy forbids all that it does not bring along: styles by their hash, audio from data
URIs, and nothing more.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from jobs.report import charts, wording
from jobs.report.charts import Part
from jobs.report.facts import Facts
from jobs.report.listening import CLIP_S, MIX, Heard
from jobs.report.tally import STAGES, Specialist
from separation.contract import STEMS

FILES = files("jobs.report")
STAGE_WORDS = {
    "probe": "probe (decode once, for length and loudness)",
    "decode": "decode into chunks",
    "stitch": "stitch",
    "write": "encode and write",
}
NOWHERE = "base-uri 'none'; form-action 'none'"  # what default-src does not govern


@dataclass(frozen=True, slots=True)
class Share:
    """A row of where the time went."""

    name: str
    colour: str
    seconds: float
    share: float


def render(facts: Facts, heard: Sequence[Heard]) -> str:
    style = FILES.joinpath("page.css").read_text()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; media-src data:; {NOWHERE}"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        name: getattr(wording, name)
        for name in ("duration", "hours", "number", "percent", "dollars", "moment", "plain")
    }
    environment.globals |= {
        "colour": colour,
        "throughput": charts.throughput,
        "share_bar": share_bar,
        "busy_bar": busy_bar,
        "waveform": waveform,
        "data_uri": data_uri,
        "clip_s": CLIP_S,
    }
    template = environment.from_string(FILES.joinpath("page.html").read_text())
    return template.render(
        facts=facts, heard=heard, shares=shares(facts), style=Markup(style), policy=Markup(policy)
    )


def colour(name: str) -> str:
    """The class of a stem, stage or other piece of a chart."""
    return f"c-{name}" if name in (*STEMS, *STAGES, MIX, "waiting") else "c-rest"


def shares(facts: Facts) -> list[Share]:
    """Where the workers' time went, in the order of the road."""
    stems: dict[str, float] = {}
    for specialist in facts.specialists:
        stems[specialist.stem] = stems.get(specialist.stem, 0.0) + specialist.infer_s
    waiting = sum(specialist.queue_s for specialist in facts.specialists)
    stages = {name: (STAGE_WORDS[name], seconds) for name, seconds in facts.stages.items()}
    rows = {
        **{name: stages[name] for name in ("probe", "decode")},
        "waiting": ("waiting for a turn on the node", waiting),
        **{stem: (f"{stem} specialist", seconds) for stem, seconds in stems.items()},
        **{name: stages[name] for name in ("stitch", "write")},
    }
    total = sum(seconds for _, seconds in rows.values())
    return [
        Share(text, colour(name), seconds, seconds / total if total else 0.0)
        for name, (text, seconds) in rows.items()
    ]


def share_bar(rows: Sequence[Share]) -> Markup:
    parts = [Part(row.share, row.colour, f"{row.name}: {wording.percent(row.share)}") for row in rows]
    return charts.bar(parts, "; ".join(part.title for part in parts))


def busy_bar(facts: Facts, specialist: Specialist) -> Markup:
    busy, waiting = facts.utilisation(specialist) or (0.0, 0.0)
    parts = [
        Part(busy, colour(specialist.stem), f"in inference {wording.percent(busy)}"),
        Part(waiting, colour("waiting"), f"waiting for a turn {wording.percent(waiting)}"),
    ]
    return charts.bar(parts, f"{specialist.stem}: " + ", ".join(part.title for part in parts))


def waveform(heard: Heard, number: int) -> Markup:
    voice, length_s = heard.voices[number], heard.track.duration_s
    clip = heard.clip_start_s / length_s, (heard.clip_start_s + heard.clip_s) / length_s
    label = f"waveform of {voice.name}"
    return charts.waveform(voice.envelope, heard.peak, clip, colour(voice.name), label)


def data_uri(clip: bytes) -> str:
    return "data:audio/mpeg;base64," + base64.b64encode(clip).decode()
