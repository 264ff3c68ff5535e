"""Ticks of the charts' axes: round numbers, moments in UTC, and positions in a track."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import numpy as np
from markupsafe import Markup

from jobs.report.timeline import Bin

VALUES = 4  # ticks of an axis of values, about
MOMENTS = 8  # at most, of an axis of time
DAY_S = 86_400
STEPS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3_600 * hours for hours in (1, 2, 3, 6, 12)),
    *(DAY_S * days for days in (1, 2, 7, 14, 28, 91, 364)),
)
FIRST, LAST = 0.02, 0.94  # of the axis: a label in between stays inside of the page
NEAREST = 0.09  # of the axis, between two labels


@dataclass(frozen=True, slots=True)
class Tick:
    """A label at `share` of the axis, 0 to 1, and a second line below it, which may be empty."""

    share: float
    label: str
    below: str = ""


def nice_ticks(highest: float) -> list[float]:
    """From 0 to `highest` or just above it, in steps of 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / VALUES
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [float(step * at) for at in range(int(np.ceil(highest / step)) + 1)]


def moment_ticks(bins: Sequence[Bin]) -> list[Tick]:
    """Round moments in UTC, each with its date where that is new; the pauses between runs take no room."""
    total_s = sum(each.width_s for each in bins)
    step = _step(total_s)
    ticks: list[Tick] = []
    days: list[str] = []
    for share, when in _moments(bins, step, total_s):
        if ticks and share - ticks[-1].share < NEAREST:
            continue
        days.append(f"{when:%m-%d}")
        # On a narrow page the ticks before those of even numbers are not there, nor are their dates.
        known = days[-3:-2] if len(ticks) % 2 == 0 else days[-2:-1]
        clock = f"{when:%H:%M:%S}" if step < 60 else f"{when:%H:%M}"
        below = "" if days[-1:] == known else days[-1]
        ticks.append(Tick(share, days[-1]) if step >= DAY_S else Tick(share, clock, below))
    return ticks


def _moments(bins: Sequence[Bin], step: int, total_s: float) -> Iterator[tuple[float, datetime]]:
    """The multiples of `step` within each run, and where on the axis they are."""
    for _, of_run in groupby(bins, key=lambda each: each.run):
        parts = list(of_run)
        start_s = parts[0].started_at.timestamp()
        end_s = start_s + sum(each.width_s for each in parts)
        for at_s in range(int(np.ceil(start_s / step)) * step, int(np.ceil(end_s)), step):
            share = (parts[0].position_s + at_s - start_s) / total_s
            if FIRST <= share <= LAST:
                yield share, datetime.fromtimestamp(at_s, UTC)


def length_ticks(length_s: float) -> list[Tick]:
    """Positions in a track, `1:30` or `1:02:00`."""
    if length_s <= 0:
        return []
    step = _step(length_s)
    found = [(at_s / length_s, at_s) for at_s in range(0, int(np.ceil(length_s)), step)]
    return [Tick(share, _position(at_s)) for share, at_s in found if FIRST <= share <= LAST]


def _position(at_s: int) -> str:
    hours, rest = divmod(at_s, 3_600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _step(total_s: float) -> int:
    return next((step for step in STEPS_S if total_s / step <= MOMENTS), int(total_s / MOMENTS))


def axis(ticks: Sequence[Tick]) -> Markup:
    """The labels, below a chart of the same width; on a narrow page every second one is left out."""
    drawn = [
        Markup('<g{}><line x1="{}%" x2="{}%" y1="0" y2="5"/><text x="{}%" y="18">{}</text>{}</g>').format(
            Markup(' class="second"') if number % 2 else "",
            *[f"{each.share * 100:.2f}"] * 3,
            each.label,
            Markup('<text x="{}%" y="33">{}</text>').format(f"{each.share * 100:.2f}", each.below)
            if each.below
            else "",
        )
        for number, each in enumerate(ticks)
    ]
    return Markup('<svg class="times" aria-hidden="true">{}</svg>').format(Markup("").join(drawn))
