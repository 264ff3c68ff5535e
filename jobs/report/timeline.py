"""Throughput over the time in which work went on: the pauses between runs are cut out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from jobs.report.tally import Moments, Run

BINS = 96
FEW_BINS = 12  # or one a track, if there are fewer
TRACKS_A_BIN = 4  # on average, beyond FEW_BINS; fewer would show single tracks instead of a rate


@dataclass(frozen=True, slots=True)
class Bin:
    """`position_s` counts seconds of work since the first run began; `x_realtime` is audio over clock."""

    run: int
    started_at: datetime
    position_s: float
    width_s: float
    tracks: int
    failed: int
    audio_s: float

    @property
    def x_realtime(self) -> float:
        return self.audio_s / self.width_s


def draw_timeline(runs: Sequence[Run], moments: Mapping[str, Moments]) -> list[Bin]:
    """`runs` in order, `moments` by run id. A run is cut into equal bins; a track counts where it ends."""
    total_s = sum(run.wall_s for run in runs)
    if not total_s:
        return []
    tracks = sum(len(at_us) for at_us, _ in moments.values())
    width_s = total_s / min(max(tracks // TRACKS_A_BIN, min(tracks, FEW_BINS)), BINS)
    bins: list[Bin] = []
    position_s = 0.0
    for number, run in enumerate(runs):
        if not run.wall_s:
            continue
        at_us, audio_s = moments[run.run_id]
        count = max(1, round(run.wall_s / width_s))
        start, end = (round(moment.timestamp() * 1e6) for moment in (run.started_at, run.ended_at))
        edges = np.linspace(start, end + 1, count + 1).astype(np.int64)
        order = np.argsort(at_us, kind="stable")
        places, audio_s = np.searchsorted(at_us[order], edges), audio_s[order]
        for at, (first, last) in enumerate(pairwise(places)):
            there, each_s = audio_s[first:last], run.wall_s / count
            bins.append(
                Bin(
                    run=number,
                    started_at=run.started_at + timedelta(seconds=at * each_s),
                    position_s=position_s + at * each_s,
                    width_s=each_s,
                    tracks=len(there),
                    failed=int(np.isnan(there).sum()),
                    audio_s=float(np.nansum(there)),
                )
            )
        position_s += run.wall_s
    return bins
