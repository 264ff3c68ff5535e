"""Stems of several model folders -> one folder with the graphs that they need, each as it was."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TypeVar

import onnx

from export.combine.parts import Part, Taken, folders
from export.model_folder import put_in_place
from separation.contract import Contract
from separation.errors import ModelError, UsageError
from separation.models.bag import Bag, GraphFile, Recipe, RestOfMix, WeightedRow
from separation.models.bag_checks import check_names
from separation.models.bag_json import read_bag
from separation.models.graph_files import fetch
from separation.store.objects import Store

MOST_NAME = 60  # characters of a name that gets a number: names may have 64
Entry = TypeVar("Entry")


def combine(parts: Sequence[Part], name: str | None, out: Path, store: Store) -> Bag:
    """Writes the model folder `out` with the stems of `parts`, in their order, and returns its bag.

    `name` is the bag's; by default the names of the folders' bags, joined by +. A graph keeps its precision,
    origin and licence; its name and its contract's get a number where two folders use one name for different
    things. Raises `ModelError` for a folder that does not have what is asked of it, `UsageError` for parts
    that do not go together.
    """
    bags = {folder: read_bag(folder, store) for folder in folders(parts)}
    if not bags:
        raise UsageError("combine needs at least one STEM=FOLDER")
    draft = _Draft()
    for each in parts:
        if isinstance(each, Taken):
            for stem in each.stems:
                draft.take(stem, bags[each.folder])
        else:
            draft.add(each.stem, RestOfMix(each.minus))
    draft.check_rests()
    joined = "+".join(dict.fromkeys(bag.name for bag in bags.values()))
    return put_in_place(out, lambda folder: draft.write(name or joined, folder, out, store))


@dataclass
class _Draft:
    """The bag as it grows; `found_in` has the bag that each of its graphs is from, and its name there."""

    contracts: dict[str, Contract] = field(default_factory=dict)
    graphs: dict[str, GraphFile] = field(default_factory=dict)
    found_in: dict[str, tuple[Bag, str]] = field(default_factory=dict)
    stems: dict[str, Recipe] = field(default_factory=dict)

    def take(self, stem: str, bag: Bag) -> None:
        if stem not in bag.stems:
            raise ModelError(bag.uri, f"no stem {stem}; it has {', '.join(bag.stems)}")
        recipe = bag.stems[stem]
        if isinstance(recipe, RestOfMix):
            minus = ",".join(recipe.stems)
            raise ModelError(
                bag.uri, f"no graph gives {stem}; take {minus} from there, and write {stem}=mix-{minus}"
            )
        self.add(stem, tuple(replace(row, graph=self._graph(bag, row)) for row in recipe))

    def add(self, stem: str, recipe: Recipe) -> None:
        check_names("combine", "a stem", [stem])
        if stem in self.stems:
            raise UsageError(f"{stem} stands twice; expected each stem once")
        self.stems[stem] = recipe

    def check_rests(self) -> None:
        given = [stem for stem, recipe in self.stems.items() if not isinstance(recipe, RestOfMix)]
        for stem, recipe in self.stems.items():
            if isinstance(recipe, RestOfMix) and (strange := [e for e in recipe.stems if e not in given]):
                found = f"{stem} is the mix minus {strange[0]}, which is taken from no folder"
                raise UsageError(f"{found}; expected some of {', '.join(given)}")

    def _graph(self, bag: Bag, row: WeightedRow) -> str:
        """The name here of the graph of `row`, and of its contract, whose sample rate must be that of all."""
        entry = bag.graphs[row.graph]
        contract = bag.contracts[entry.contract]
        for other in self.contracts.values():
            if other.sample_rate != contract.sample_rate:
                found = f"{contract.sample_rate} Hz, other folders' {other.sample_rate} Hz"
                raise ModelError(bag.uri, f"its models are for {found}; expected the same rate")
        # `published` is of format 1 alone; `_check_rows` refuses a graph of more rows than bag.json names.
        entry = replace(entry, published=(), contract=_name_of(contract, entry.contract, self.contracts))
        name = next(
            (name for name, graph in self.graphs.items() if replace(graph, file=entry.file) == entry),
            row.graph if row.graph not in self.graphs else _free(row.graph, self.graphs),
        )
        self.graphs[name] = replace(entry, file=f"{name}.onnx")
        self.found_in.setdefault(name, (bag, row.graph))
        return name

    def write(self, name: str, folder: Path, out: Path, store: Store) -> Bag:
        """Copies the graphs to `folder`, and prints a line about each as it will be at `out`."""
        for graph, entry in self.graphs.items():
            bag, theirs = self.found_in[graph]
            path = folder / entry.file
            shutil.copyfile(fetch(bag, theirs, folder / "fetched", store), path)
            _check_rows(f"{bag.uri}/{bag.graphs[theirs].file}", path, entry)
            rows = ", ".join(entry.rows)
            print(f"{out / entry.file}  {rows}  {entry.precision}  from {bag.uri}", flush=True)
        return Bag(str(out), name, self.contracts, self.graphs, self.stems)


def _check_rows(where: str, path: Path, entry: GraphFile) -> None:
    shape = onnx.load(path, load_external_data=False).graph.output[0].type.tensor_type.shape.dim
    rows = shape[1].dim_value if len(shape) == 4 else 1  # (batch, rows, channels, segment)
    if rows != len(entry.rows):
        found = f"a graph of {rows} rows, of which bag.json names {', '.join(entry.rows)}"
        raise ModelError(where, f"{found}; expected one that was exported by python -m export")


def _name_of(entry: Entry, name: str, entries: dict[str, Entry]) -> str:
    """The name of `entry` among `entries`, to which it is added if it is none of them."""
    for each, other in entries.items():
        if other == entry:
            return each
    free = name if name not in entries else _free(name, entries)
    entries[free] = entry
    return free


def _free(name: str, taken: Mapping[str, object]) -> str:
    return next(free for number in count(2) if (free := f"{name[:MOST_NAME]}_{number}") not in taken)
