"""Scores as a table for people: the median over tracks of each stem, and the mean of the stems."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.box import SIMPLE
from rich.table import Table

TITLES = {
    "sdr": "SDR in dB, BSS eval v4: median over seconds, then over tracks",
    "si_sdr": "SI-SDR in dB, of whole tracks: median over tracks",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One set of estimates: `medians` by stem, NaN where no track has a score; `tracks` that have all."""

    estimates: str
    medians: dict[str, float]
    tracks: int

    @property
    def mean(self) -> float:
        """Of the stems, as published tables have it."""
        return float(np.mean([*self.medians.values()]))


def summarize(scores: pa.Table, metric: str, names: Sequence[str], stems: Sequence[str]) -> list[Line]:
    lines = []
    for name in names:
        of_set = scores.filter((pc.field("estimates") == name) & (pc.field("metric") == metric))
        good = of_set.filter(pc.field("status") == "ok")
        by_stem = {stem: good.filter(pc.field("stem") == stem)["score_db"].to_numpy() for stem in stems}
        medians = {stem: float(np.median(found)) if found.size else np.nan for stem, found in by_stem.items()}
        whole = pc.value_counts(good["track_id"]).field("counts").to_numpy(zero_copy_only=False)
        lines.append(Line(name, medians, int(np.count_nonzero(whole == len(stems)))))
    return lines


def as_table(metric: str, lines: Sequence[Line], tracks: int) -> Table:
    """`tracks` is how many there are to score."""
    table = Table(title=TITLES[metric], title_justify="left", box=SIMPLE)
    table.add_column("estimates", overflow="fold")
    for name in (*lines[0].medians, "mean", "tracks"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        values = [f"{value:.2f}" for value in (*line.medians.values(), line.mean)]
        table.add_row(line.estimates, *values, f"{line.tracks} of {tracks}")
    return table
