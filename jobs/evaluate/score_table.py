"""Scores as a table for people: the median over tracks of each stem, and the mean of the stems."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from rich.box import SIMPLE
from rich.table import Table

from separation.store.redact import shown

TITLES = {
    "sdr": "SDR in dB, BSS eval v4: median over seconds, then over tracks",
    "si_sdr": "SI-SDR in dB, of whole tracks: median over tracks",
}


@dataclass(frozen=True, slots=True)
class Medians:
    """The medians over tracks of one set of estimates."""

    estimates: str
    by_stem: dict[str, float]  # dB; NaN where no track has a score
    tracks: int  # with a score for every stem

    @property
    def mean(self) -> float:
        """The mean over the stems, which published tables give."""
        return float(np.mean([*self.by_stem.values()]))


def medians(scores: pa.Table, metric: str, names: Sequence[str], stems: Sequence[str]) -> list[Medians]:
    found = []
    for name in names:
        of_set = scores.filter((pc.field("estimates") == name) & (pc.field("metric") == metric))
        good = of_set.filter(pc.field("status") == "ok")
        scores_db = {stem: good.filter(pc.field("stem") == stem)["score_db"].to_numpy() for stem in stems}
        by_stem = {stem: float(np.median(each)) if each.size else np.nan for stem, each in scores_db.items()}
        complete = pc.value_counts(good["track_id"]).field("counts").to_numpy(zero_copy_only=False)
        found.append(Medians(name, by_stem, int(np.count_nonzero(complete == len(stems)))))
    return found


def as_table(metric: str, lines: Sequence[Medians], tracks: int) -> Table:
    """`tracks` is how many there were to score."""
    table = Table(title=TITLES[metric], title_justify="left", box=SIMPLE)
    table.add_column("estimates", overflow="fold", min_width=len("estimates"))
    for name in (*lines[0].by_stem, "mean", "tracks"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        values = [f"{value:.2f}" for value in (*line.by_stem.values(), line.mean)]
        table.add_row(shown(line.estimates), *values, f"{line.tracks} of {tracks}")
    return table
