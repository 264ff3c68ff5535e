"""bag.json of format 2: any graphs, each under its contract, and stems made of their rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from separation.contract import CHANNELS, Contract
from separation.errors import ModelError
from separation.models.bag import PRECISIONS, Bag, GraphFile, Recipe, RestOfMix, WeightedRow
from separation.models.bag_checks import check_file, check_names

SANE_RATES = range(8_000, 192_001)  # Hz
MOST_SEGMENT = 2**26  # samples: 25 minutes at 44.1 kHz, 0.5 GB


@dataclass(frozen=True, slots=True)
class _Content:
    """The types of bag.json."""

    name: str
    contracts: dict[str, Contract]
    graphs: dict[str, GraphFile]
    stems: dict[str, list[tuple[str, str, float]] | dict[str, list[str]]]


def read(where: str, folder: str, content: dict[str, Any]) -> Bag:
    """The bag in `content`; `where` is the file's URI, for errors."""
    try:
        found = msgspec.convert(content, _Content)
    except msgspec.ValidationError as error:
        raise ModelError(where, str(error)) from None
    for kind, names in (("contract", found.contracts), ("graph", found.graphs), ("stem", found.stems)):
        if not names:
            raise ModelError(where, f"{kind}s is empty, expected at least one")
        check_names(where, f"a {kind}", names)
    _check_contracts(where, found.contracts)
    for name, graph in found.graphs.items():
        _check_graph(where, f"graph {name}", graph, found.contracts)
    stems = {stem: _recipe(where, stem, each) for stem, each in found.stems.items()}
    for stem, recipe in stems.items():
        if isinstance(recipe, RestOfMix):
            _check_mix_minus(where, stem, recipe, stems)
        else:
            _check_rows(where, stem, recipe, found.graphs)
    return Bag(folder, found.name, found.contracts, found.graphs, stems)


def _check_contracts(where: str, contracts: Mapping[str, Contract]) -> None:
    for name, contract in contracts.items():
        for field, allowed in (
            ("sample_rate", SANE_RATES),
            ("channels", range(CHANNELS, CHANNELS + 1)),
            ("segment", range(1, MOST_SEGMENT + 1)),
            ("stride", range(1, contract.segment + 1)),
            ("max_shift", range(1 if contract.edges == "reflect" else contract.segment)),
        ):
            if (value := getattr(contract, field)) not in allowed:
                last = f" to {allowed[-1]}" if len(allowed) > 1 else ""
                raise ModelError(where, f"contract {name}: {field} is {value}, expected {allowed[0]}{last}")
    rates = {contract.sample_rate for contract in contracts.values()}
    if len(rates) > 1:
        raise ModelError(
            where, f"contracts have sample rates of {sorted(rates)} Hz; expected the same one in a bag"
        )


def _check_graph(where: str, owner: str, graph: GraphFile, contracts: Mapping[str, Contract]) -> None:
    check_file(where, owner, graph.file, graph.bytes, graph.sha256)
    if graph.contract not in contracts:
        raise ModelError(where, f"{owner}: contract is {graph.contract!r}, expected one of {list(contracts)}")
    if graph.precision not in PRECISIONS:
        raise ModelError(where, f"{owner}: precision is {graph.precision!r}, expected one of {PRECISIONS}")
    if not graph.rows or len(set(graph.rows)) != len(graph.rows):
        raise ModelError(where, f"{owner}: rows are {list(graph.rows)}, expected different names")
    if graph.published:
        raise ModelError(where, f"{owner}: published is of format 1 alone")


def _recipe(where: str, stem: str, content: list[tuple[str, str, float]] | dict[str, list[str]]) -> Recipe:
    if isinstance(content, list):
        return tuple(WeightedRow(*row) for row in content)
    if set(content) != {"mix_minus"}:
        raise ModelError(where, f"stem {stem}: found the keys {sorted(content)}, expected mix_minus")
    return RestOfMix(tuple(content["mix_minus"]))


def _check_rows(
    where: str, stem: str, rows: tuple[WeightedRow, ...], graphs: Mapping[str, GraphFile]
) -> None:
    for row in rows:
        if row.graph not in graphs:
            raise ModelError(where, f"stem {stem}: graph {row.graph!r} is none of {list(graphs)}")
        if row.row not in graphs[row.graph].rows:
            has = ", ".join(graphs[row.graph].rows)
            raise ModelError(where, f"stem {stem}: graph {row.graph} has the rows {has}; none is {row.row!r}")
        if not math.isfinite(row.weight) or row.weight < 0:
            raise ModelError(where, f"stem {stem}: a weight is {row.weight}, expected 0 or more")
    if not sum(row.weight for row in rows) > 0:
        raise ModelError(where, f"stem {stem}: its weights sum to 0, expected a row that counts")
    if len({(row.graph, row.row) for row in rows}) != len(rows):
        raise ModelError(where, f"stem {stem}: a row of a graph stands twice")
    contracts = {graphs[row.graph].contract for row in rows}
    if len(contracts) > 1:
        raise ModelError(where, f"stem {stem}: its rows have the contracts {sorted(contracts)}; expected one")


def _check_mix_minus(where: str, stem: str, recipe: RestOfMix, stems: Mapping[str, Recipe]) -> None:
    if not recipe.stems or len(set(recipe.stems)) != len(recipe.stems):
        raise ModelError(where, f"stem {stem}: mix_minus is {list(recipe.stems)}, expected different stems")
    for other in recipe.stems:
        if isinstance(stems.get(other, recipe), RestOfMix):
            raise ModelError(
                where, f"stem {stem}: mix_minus names {other!r}, expected stems that are made of rows"
            )
