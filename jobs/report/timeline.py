"""Throughput over time, without the pauses between runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from jobs.report.entries import Run
from jobs.report.tally import Finished

BINS = 96  # at most
FEW_BINS = 12  # at least, or one per track if there are fewer tracks
TRACKS_PER_BIN = 4  # on average, beyond FEW_BINS; fewer would show single tracks instead of a rate


@dataclass(frozen=True, slots=True)
class Bin:
    run: int  # its index among the runs
    started_at: datetime
    position_s: float  # since the first run began, without pauses
    width_s: float
    tracks: int  # finished in it, done or failed
    failed: int
    audio_s: float

    @property
    def x_realtime(self) -> float:
        """Seconds of audio finished per second of the clock."""
        return self.audio_s / self.width_s

    @property
    def error_share(self) -> float:
        """Of the tracks finished in it, 0 to 1."""
        return self.failed / self.tracks if self.tracks else 0.0


def plan_bins(runs: Sequence[Run], finished: Mapping[str, Finished]) -> list[Bin]:
    """Cuts each run into equal bins. `runs` are in order, `finished` is by run id.

    A track counts in the bin in which it was finished.
    """
    total_s = sum(run.wall_s for run in runs)
    if not total_s:
        return []
    tracks = sum(len(each.at_us) for each in finished.values())
    width_s = total_s / min(max(tracks // TRACKS_PER_BIN, min(tracks, FEW_BINS)), BINS)
    bins: list[Bin] = []
    position_s = 0.0
    for number, run in enumerate(runs):
        if not run.wall_s:
            continue
        of_run = finished[run.run_id]
        count = max(1, round(run.wall_s / width_s))
        start, end = (round(moment.timestamp() * 1e6) for moment in (run.started_at, run.ended_at))
        edges = np.linspace(start, end + 1, count + 1).astype(np.int64)
        order = np.argsort(of_run.at_us, kind="stable")
        limits, audio_s = np.searchsorted(of_run.at_us[order], edges), of_run.audio_s[order]
        bin_s = run.wall_s / count
        for number_in_run, (first, last) in enumerate(pairwise(limits)):
            in_bin = audio_s[first:last]
            bins.append(
                Bin(
                    run=number,
                    started_at=run.started_at + timedelta(seconds=number_in_run * bin_s),
                    position_s=position_s + number_in_run * bin_s,
                    width_s=bin_s,
                    tracks=len(in_bin),
                    failed=int(np.isnan(in_bin).sum()),
                    audio_s=float(np.nansum(in_bin)),
                )
            )
        position_s += run.wall_s
    return bins
