"""Charts as inline SVG. Positions are percentages: a chart scales to its column, and its text does not.

Colours are CSS classes of the page's style; titles are shown under the pointer. All text is untrusted:
`Markup.format` escapes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from jobs.report import formatting
from jobs.report.page.axes import axis, moment_ticks, nice_ticks
from jobs.report.timeline import Bin

GAP, WIDEST_GAP = 0.14, 0.4  # between bars: share of a bar's width, percent of the chart


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar: `share` of its width, 0 to 1."""

    share: float
    colour: str
    title: str


def bar(parts: Iterable[Part], label: str) -> Markup:
    """A horizontal bar; `label` is what a screen reader says."""
    pieces, x = [], 0.0
    for part in parts:
        pieces.append(
            Markup('<rect x="{}%" width="{}%" height="100%" class="{}"><title>{}</title></rect>').format(
                _coordinate(x * 100), _coordinate(part.share * 100), part.colour, part.title
            )
        )
        x += part.share
    return Markup('<svg class="bar" role="img" aria-label="{}">{}</svg>').format(
        label, Markup("").join(pieces)
    )


def throughput(bins: Sequence[Bin]) -> Markup:
    """Bars of throughput with a line for the average; below them a strip of the share of tracks in error.

    Lines separate the runs. Each row is two drawings side by side: its scale and the plot.
    """
    average = sum(each.audio_s for each in bins) / sum(each.width_s for each in bins)
    ticks = nice_ticks(max(each.x_realtime for each in bins))
    top = ticks[-1] or 1.0
    heights = [100 - tick / top * 100 for tick in ticks]
    drawn = [_across("grid", y) for y in heights]
    drawn += _bars(bins, "rate", [each.x_realtime / top * 100 for each in bins])
    drawn.append(_across("average", 100 - average / top * 100))
    label = f"Audio-hours per hour over time; {formatting.three_digits(average)} on average"
    found = _row("throughput", label, zip(heights, (f"{tick:g}" for tick in ticks), strict=True), drawn)
    if worst := max(each.error_share for each in bins):
        bars = _bars(bins, "failed", [each.error_share / worst * 100 for each in bins])
        label = f"Share of tracks in error over time; at most {formatting.percent(worst)}"
        scale = [(0.0, formatting.percent(worst)), (100.0, "0")]
        found += _row("strip", label, scale, [_across("grid", 100), *bars])
    return found + Markup('<div class="plot"><span class="ticks"></span>{}</div>').format(
        axis(moment_ticks(bins))
    )


def _row(kind: str, label: str, scale: Iterable[tuple[float, str]], drawn: Iterable[Markup]) -> Markup:
    """A plot of this class beside its scale: heights in percent and what is written there."""
    labels = [
        Markup('<text x="100%" dx="-8" y="{}%" dy="4">{}</text>').format(_coordinate(y), text)
        for y, text in scale
    ]
    return Markup(
        '<div class="plot"><svg class="ticks {0}" aria-hidden="true">{1}</svg>'
        '<svg class="{0}" role="img" aria-label="{2}">{3}</svg></div>'
    ).format(kind, Markup("").join(labels), label, Markup("").join(drawn))


def _across(kind: str, y: float) -> Markup:
    return Markup('<line class="{0}" x1="0%" x2="100%" y1="{1}%" y2="{1}%"/>').format(kind, _coordinate(y))


def _bars(bins: Sequence[Bin], kind: str, heights: Iterable[float]) -> list[Markup]:
    """A bar of each height above 0, in percent; what its bin holds is shown under the pointer."""
    total_s = sum(each.width_s for each in bins)
    drawn = []
    for at, (each, height) in enumerate(zip(bins, heights, strict=True)):
        x, width = each.position_s / total_s * 100, each.width_s / total_s * 100
        inner = width - min(width * GAP, WIDEST_GAP)
        shape = Markup('<rect class="{}" x="{}%" width="{}%" y="{}%" height="{}%"/>').format(
            kind, *map(_coordinate, (x, inner, 100 - height, height))
        )
        target = Markup('<rect class="target" x="{}%" width="{}%" height="100%"/>').format(
            *map(_coordinate, (x, width))
        )
        drawn.append(
            Markup("<g>{}{}<title>{}</title></g>").format(shape if height else "", target, _title(each))
        )
        if at and bins[at - 1].run != each.run:
            drawn.append(
                Markup('<line class="seam" x1="{0}%" x2="{0}%" y1="0%" y2="100%"/>').format(_coordinate(x))
            )
    return drawn


def _title(each: Bin) -> str:
    failed = f", {each.failed} in error" if each.failed else ""
    return (
        f"{formatting.utc_time(each.started_at)}, {formatting.duration(each.width_s)}: "
        f"{formatting.three_digits(each.x_realtime)} audio-hours per hour, {each.tracks} tracks{failed}"
    )


def waveform(envelope: np.ndarray, peak: float, clip: tuple[float, float], colour: str, label: str) -> Markup:
    """A mirrored envelope, scaled to `peak`; `clip` is where the played clip starts and ends, 0 to 1."""
    heights = np.repeat(envelope / peak * 48 if peak else np.zeros(len(envelope)), 2)
    edges = np.linspace(0, 1000, len(envelope) + 1)
    xs = np.stack([edges[:-1], edges[1:]], axis=1).ravel()  # both sides of each column
    tops, feet = (
        [f"{x:.0f},{y:.1f}" for x, y in zip(xs, ys, strict=True)] for ys in (50 - heights, 50 + heights)
    )
    path = f"M{' '.join(tops)} {' '.join(reversed(feet))}z"
    start, end = clip
    return Markup(
        '<svg class="waveform" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="clip" x="{}" width="{}" height="100"/><path class="{}" d="{}"/></svg>'
    ).format(label, _coordinate(start * 1000), _coordinate((end - start) * 1000), colour, path)


def _coordinate(value: float) -> str:
    return f"{value:.2f}"
