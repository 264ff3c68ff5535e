"""A bag: graphs, their contracts, and what each stem is made of. `bag_json` reads and writes it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from separation.contract import Contract

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[str, ...] = get_args(Precision)
NOT_STATED = "not stated"
MIX, MINUS = "mix", " - "  # in the fingerprint of a rest: mix - vocals


@dataclass(frozen=True, slots=True)
class Licence:
    """What the author of the weights says about their use, under which terms, and where it is said."""

    weights: str = NOT_STATED
    terms: str = ""
    said_at: str = ""


@dataclass(frozen=True, slots=True)
class GraphFile:
    """One ONNX file of the folder, and the checkpoint that it was made from.

    contract   key of `Bag.contracts`
    rows       names of its output's rows, in order
    origin     the arguments of `python -m export` that made it
    published  of format 1 alone: the rows that the file has if it is a published graph, of which `rows` are
               kept; one of ours has `rows` and nothing else
    """

    file: str
    sha256: str
    bytes: int
    contract: str
    rows: tuple[str, ...]
    precision: str
    source: str
    source_sha256: str
    snr_db: float | None = None  # against the checkpoint in float32; None for fp32
    origin: str = ""
    licence: Licence = Licence()
    published: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WeightedRow:
    """A row of a graph's output, and its weight in the mean that makes a stem."""

    graph: str
    row: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class RestOfMix:
    """A stem that no graph gives: the mix minus `stems`."""

    stems: tuple[str, ...]


Recipe = tuple[WeightedRow, ...] | RestOfMix  # the rows of one stem share a contract


@dataclass(frozen=True, slots=True)
class Bag:
    """A checked bag; `uri` is its folder. The orders of `graphs` and `stems` are those of bag.json."""

    uri: str
    name: str
    contracts: Mapping[str, Contract]
    graphs: Mapping[str, GraphFile]
    stems: Mapping[str, Recipe]

    @property
    def sample_rate(self) -> int:
        """Hz: all contracts of a bag have the same one."""
        return next(iter(self.contracts.values())).sample_rate

    def inferred(self, stems: Iterable[str]) -> tuple[str, ...]:
        """The stems that graphs must give to have `stems`, in the bag's order."""
        needed: set[str] = set()
        for stem in stems:
            recipe = self.stems[stem]
            needed |= set(recipe.stems) if isinstance(recipe, RestOfMix) else {stem}
        return tuple(stem for stem in self.stems if stem in needed)

    def rows(self, stem: str) -> tuple[WeightedRow, ...]:
        """What an inferred stem is the weighted mean of."""
        recipe = self.stems[stem]
        assert not isinstance(recipe, RestOfMix)
        return recipe

    def graphs_of(self, stems: Iterable[str]) -> tuple[str, ...]:
        """The graphs that give these inferred stems, in the bag's order."""
        used = {row.graph for stem in stems for row in self.rows(stem)}
        return tuple(graph for graph in self.graphs if graph in used)

    def contract_name(self, stem: str) -> str:
        """Key in `contracts` of an inferred stem."""
        return self.graphs[self.rows(stem)[0].graph].contract

    def contracts_of(self, stems: Sequence[str]) -> dict[str, Contract]:
        """The contracts of these inferred stems, in the bag's order."""
        used = {self.contract_name(stem) for stem in stems}
        return {name: contract for name, contract in self.contracts.items() if name in used}

    def contributions(self, graph: str, stems: Iterable[str]) -> dict[str, dict[int, float]]:
        """What a graph adds to each of these inferred stems: stem -> index of a row -> its share of the stem.

        A stem's shares over all graphs sum to 1; stems without a row of the graph are not in it.
        """
        shares: dict[str, dict[int, float]] = {}
        for stem in stems:
            rows = self.rows(stem)
            total = sum(row.weight for row in rows)
            mine = {
                self.graphs[graph].rows.index(row.row): row.weight / total
                for row in rows
                if row.graph == graph and row.weight
            }
            if mine:
                shares[stem] = mine
        return shares

    def fingerprint(self, stem: str) -> str:
        """What decides the samples of a stem: the sha256 of its graph, or of each with its row and share.

        A row of several is named with its place: bag.json alone says which of them has which name.
        """
        recipe = self.stems[stem]
        if isinstance(recipe, RestOfMix):
            return MINUS.join((MIX, *recipe.stems))
        if [row.row for row in recipe] == [stem] and len(self._given(recipe[0])) == 1:
            return self.graphs[recipe[0].graph].sha256
        return " + ".join(self._fingerprint(row) for row in recipe)

    def _fingerprint(self, row: WeightedRow) -> str:
        given = self._given(row)
        place = f"[{given.index(row.row)}]" if len(given) > 1 else ""
        return f"{row.weight:g} {self.graphs[row.graph].sha256} {row.row}{place}"

    def _given(self, row: WeightedRow) -> tuple[str, ...]:
        """The rows of the graph of `row`; of a published one, whose rows have a fixed order, this row."""
        graph = self.graphs[row.graph]
        return (row.row,) if graph.published else graph.rows

    def precision(self, stems: Iterable[str]) -> str:
        """Of the graphs of these inferred stems; several are joined with +."""
        return "+".join(sorted({self.graphs[graph].precision for graph in self.graphs_of(stems)}))


def taken_from_mix(fingerprint: str) -> tuple[str, ...]:
    """The stems that a rest of the mix leaves out, by its fingerprint; none of any other stem."""
    mix, *stems = fingerprint.split(MINUS)
    return tuple(stems) if mix == MIX else ()
