"""A bag's yaml as demucs writes it: its models, and each one's weights in the stems.

    models: [955717e8]                      one model or several, by signature
    weights: [[1, 0, 0, 0], ...]            for each model a weight per source; without it, a plain mean
    segment: 7                              seconds, over the models' own; demucs ignores a longer one

A stem is the weighted mean of its row in all models (`BagOfModels` in demucs/apply.py, 4.1.0). A model that
is listed twice counts twice and is exported once.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from separation.errors import ModelError

LONGEST_NAME = 48  # of a graph that is named after its bag


@dataclass(frozen=True, slots=True)
class Listing:
    """`models` maps each signature to its weights, once for every time that it is listed; None: all ones.

    `where` is the yaml, for errors; `segment` is in seconds.
    """

    where: str
    name: str
    models: Mapping[str, tuple[tuple[float, ...] | None, ...]]
    segment: float | Fraction | None = None

    def weights_of(
        self, signature: str, sources: Sequence[str], stems: Sequence[str] | None = None
    ) -> dict[str, float]:
        """The weights of a model's rows that are not 0, by source; of `stems` only, unless None."""
        totals = dict.fromkeys(sources, 0.0)
        for weights in self.models[signature]:
            if weights is not None and len(weights) != len(sources):
                raise ModelError(
                    self.where,
                    f"{signature} has {len(weights)} weights; expected one for each of {list(sources)}",
                )
            for source, weight in zip(sources, weights or (1.0,) * len(sources), strict=True):
                totals[source] += weight
        kept = sources if stems is None else stems
        return {source: weight for source, weight in totals.items() if weight and source in kept}

    def graph_name(self, signature: str, sources: Sequence[str], rows: Mapping[str, float]) -> str:
        """Of the graph that gives `rows`: the stem's, where one row alone makes it; else after the bag."""
        (only,) = rows if len(rows) == 1 else ("",)
        if only and [each for each in self.models if only in self.weights_of(each, sources)] == [signature]:
            return only
        name = re.sub(r"[^A-Za-z0-9_-]", "_", self.name)[:LONGEST_NAME]
        return name if len(self.models) == 1 else f"{name}_{1 + [*self.models].index(signature)}"


def read_listing(path: Path) -> Listing:
    """Raises `ModelError`, which says what is wrong with the yaml."""
    where = str(path)
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(where, f"not a bag: {type(error).__name__}: {error}") from None
    listed = content.get("models") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        raise ModelError(where, f"models is {listed!r}, expected a list of signatures: models: [955717e8]")
    signatures = [str(signature) for signature in listed]
    weights, segment = content.get("weights"), content.get("segment")
    if segment is not None and not _is_number(segment):
        raise ModelError(where, f"segment is {segment!r}, expected seconds")
    models: dict[str, tuple[tuple[float, ...] | None, ...]] = {}
    for signature, row in zip(signatures, _matrix(where, weights, signatures), strict=True):
        models[signature] = (*models.get(signature, ()), row)
    return Listing(where, path.stem, models, segment)


def _matrix(where: str, weights: Any, signatures: list[str]) -> Sequence[tuple[float, ...] | None]:
    """The checked weights, a row for each model; None for each if the yaml has none."""
    if weights is None:
        return [None] * len(signatures)
    if not isinstance(weights, list) or len(weights) != len(signatures):
        raise ModelError(where, f"weights are {weights}; expected one row for each of {signatures}")
    for signature, row in zip(signatures, weights, strict=True):
        if not isinstance(row, list) or not row or not all(_is_number(each) and each >= 0 for each in row):
            raise ModelError(where, f"{signature} has weights {row}; expected a list of numbers from 0 up")
        if len(row) != len(weights[0]):
            raise ModelError(
                where,
                f"{signature} has {len(row)} weights, the first model {len(weights[0])}",
            )
    for source, column in enumerate(zip(*weights, strict=True)):
        if not any(column):
            raise ModelError(where, f"source {source} has the weight 0 in every model")
    return [tuple(map(float, row)) for row in weights]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
