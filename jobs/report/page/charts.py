"""Charts as inline SVG. Positions are percentages: a chart scales to its column, and its text does not.

Colours are CSS classes of the page's style; titles are shown under the pointer. All text is untrusted:
`Markup.format` escapes it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from jobs.report import formatting
from jobs.report.timeline import Bin

TICKS = 4  # per axis, about
GAP, WIDEST_GAP = 0.14, 0.4  # between bars: share of a bar's width, percent of the chart
FAILED_TOP = 86.0  # percent: from here down to 100, the share of tracks in error
FLOOR = 84.0  # percent: the foot of the bars


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
    """Bars of throughput, below them the share in error; a line for the average, lines between runs.

    Two drawings of one height, side by side: the axis and the plot.
    """
    total_s = sum(each.width_s for each in bins)
    average = sum(each.audio_s for each in bins) / total_s
    ticks = nice_ticks(max(each.x_realtime for each in bins))
    scale = FLOOR / (ticks[-1] or 1.0)
    heights = [FLOOR - tick * scale for tick in ticks]
    drawn = [
        Markup('<line class="grid" x1="0%" x2="100%" y1="{0}%" y2="{0}%"/>').format(_coordinate(y))
        for y in heights
    ]
    for at, each in enumerate(bins):
        x, width = each.position_s / total_s * 100, each.width_s / total_s * 100
        drawn.append(_throughput_bar(each, x, width, each.x_realtime * scale))
        if at and bins[at - 1].run != each.run:
            drawn.append(
                Markup('<line class="seam" x1="{0}%" x2="{0}%" y1="0%" y2="100%"/>').format(_coordinate(x))
            )
    y = FLOOR - average * scale
    drawn.append(
        Markup('<line class="average" x1="0%" x2="100%" y1="{0}%" y2="{0}%"/>').format(_coordinate(y))
    )
    label = f"Audio-hours per hour over time; {formatting.three_digits(average)} on average"
    labels = [
        Markup('<text x="100%" dx="-8" y="{}%" dy="4">{}</text>').format(_coordinate(y), f"{tick:g}")
        for tick, y in zip(ticks, heights, strict=True)
    ]
    return Markup(
        '<svg class="ticks" aria-hidden="true">{}</svg>'
        '<svg class="throughput" role="img" aria-label="{}">{}</svg>'
    ).format(Markup("").join(labels), label, Markup("").join(drawn))


def _throughput_bar(each: Bin, x: float, width: float, height: float) -> Markup:
    failed = f", {each.failed} in error" if each.failed else ""
    title = (
        f"{formatting.utc_time(each.started_at)}, {formatting.duration(each.width_s)}: "
        f"{formatting.three_digits(each.x_realtime)} audio-hours per hour, {each.tracks} tracks{failed}"
    )
    inner = width - min(width * GAP, WIDEST_GAP)
    drawn = Markup('<rect class="rate" x="{}%" width="{}%" y="{}%" height="{}%"/>').format(
        *map(_coordinate, (x, inner, FLOOR - height, height))
    )
    if each.failed:
        drawn += Markup('<rect class="failed" x="{}%" width="{}%" y="{}%" height="{}%"/>').format(
            *map(
                _coordinate, (x, inner, FAILED_TOP, max(1.0, each.failed / each.tracks * (100 - FAILED_TOP)))
            )
        )
    target = Markup('<rect class="target" x="{}%" width="{}%" height="100%"/>').format(
        *map(_coordinate, (x, width))
    )
    return Markup("<g>{}{}<title>{}</title></g>").format(drawn, target, title)


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


def nice_ticks(highest: float) -> list[float]:
    """From 0 to `highest` or just above it, in steps of 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [float(step * at) for at in range(int(np.ceil(highest / step)) + 1)]


def _coordinate(value: float) -> str:
    return f"{value:.2f}"
