"""From facts to one HTML file that needs nothing else: no network, no script, every name escaped.

Its Content-Security-Policy allows its own style, by hash, and audio from data URIs, and nothing more.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from jobs.report import charts, formatting
from jobs.report.charts import Part
from jobs.report.entries import SpecialistUse
from jobs.report.facts import Facts
from jobs.report.listening import CLIP_S, MIX, SampleSounds
from jobs.report.tally import STAGES
from separation.contract import STEMS

FILES = files("jobs.report")
STAGE_LABELS = {
    "probe": "probe (decode once, for length and loudness)",
    "decode": "decode into chunks",
    "stitch": "stitch",
    "write": "encode and write",
}
NO_LINKS = "base-uri 'none'; form-action 'none'"  # what default-src does not govern


@dataclass(frozen=True, slots=True)
class Share:
    """A row of the table of where the time went."""

    name: str
    colour: str  # CSS class
    seconds: float
    share: float


def render(facts: Facts, samples: Sequence[SampleSounds]) -> str:
    style = FILES.joinpath("page.css").read_text()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; media-src data:; {NO_LINKS}"
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
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
        facts=facts, samples=samples, shares=time_shares(facts), style=Markup(style), policy=Markup(policy)
    )


def colour(name: str) -> str:
    """The CSS class of a stem, a stage or another part of a chart."""
    return f"c-{name}" if name in (*STEMS, *STAGES, MIX, "waiting") else "c-rest"


def time_shares(facts: Facts) -> list[Share]:
    """Where the workers' time went, in the order of the data flow."""
    stems: dict[str, float] = {}
    for specialist in facts.specialists:
        stems[specialist.stem] = stems.get(specialist.stem, 0.0) + specialist.infer_s
    waiting = sum(specialist.queue_s for specialist in facts.specialists)
    stages = {name: (STAGE_LABELS[name], seconds) for name, seconds in facts.stages.items()}
    rows = {
        **{name: stages[name] for name in ("probe", "decode")},
        "waiting": ("waiting for a slot on the node", waiting),
        **{stem: (f"{stem} specialist", seconds) for stem, seconds in stems.items()},
        **{name: stages[name] for name in ("stitch", "write")},
    }
    total = sum(seconds for _, seconds in rows.values())
    return [
        Share(text, colour(name), seconds, seconds / total if total else 0.0)
        for name, (text, seconds) in rows.items()
    ]


def share_bar(rows: Sequence[Share]) -> Markup:
    parts = [Part(row.share, row.colour, f"{row.name}: {formatting.percent(row.share)}") for row in rows]
    return charts.bar(parts, "; ".join(part.title for part in parts))


def busy_bar(facts: Facts, specialist: SpecialistUse) -> Markup:
    busy, waiting = facts.utilisation(specialist) or (0.0, 0.0)
    parts = [
        Part(busy, colour(specialist.stem), f"in inference {formatting.percent(busy)}"),
        Part(waiting, colour("waiting"), f"waiting for a slot {formatting.percent(waiting)}"),
    ]
    return charts.bar(parts, f"{specialist.stem}: " + ", ".join(part.title for part in parts))


def waveform(sample: SampleSounds, number: int) -> Markup:
    sound, length_s = sample.sounds[number], sample.track.duration_s
    clip = sample.clip_start_s / length_s, (sample.clip_start_s + sample.clip_s) / length_s
    label = f"waveform of {sound.name}"
    return charts.waveform(sound.envelope, sample.peak, clip, colour(sound.name), label)


def data_uri(clip: bytes) -> str:
    return "data:audio/mpeg;base64," + base64.b64encode(clip).decode()
