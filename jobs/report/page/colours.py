"""The colours of stems, graphs and stages: classes of page.css."""

from collections.abc import Iterable

from jobs.pipeline.stem_order import KNOWN_STEMS
from jobs.report.entries import GraphUse
from jobs.report.tally import STAGES

MIX, WAITING = "mix", "waiting"
OF_PARTS = {name: f"c-{name}" for name in (*STAGES, WAITING)}
EXTRA = 6  # colours for other names, taken in turn


def of_sounds(names: Iterable[str]) -> dict[str, str]:
    """Name -> class: the mix and the known stems have colours of their own, others by their order here."""
    found = {name: f"c-{name}" for name in (*KNOWN_STEMS, MIX)}
    others = (name for name in dict.fromkeys(names) if name not in found)
    return found | {name: f"c-extra-{number % EXTRA}" for number, name in enumerate(others)}


def key_of(graph: GraphUse) -> str:
    """The name that a graph's colour goes by: its only stem, or its own."""
    return graph.stems[0] if len(graph.stems) == 1 else graph.graph
