"""Models of any family -> a model folder: one ONNX file per model, and bag.json."""

import hashlib
import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from export.parity import Bar, compare_rows, music_like
from separation.contract import Contract
from separation.errors import ModelError
from separation.models.bag import Bag, GraphFile, Licence, WeightedRow
from separation.models.bag_json import write_bag
from separation.models.graph import Graph
from separation.store.disk.atomic_write import publish

TEST_SEGMENT_SEED = 0  # of the segment on which a precision's cost is measured


class ExportableModel(Protocol):
    """A PyTorch model and the rows of its output to export: what a family of models provides."""

    @property
    def name(self) -> str:
        """Of its graph."""

    @property
    def weights(self) -> Mapping[str, float]:
        """By row that is exported, in the graph's order: the row's weight in the stem of the same name."""

    @property
    def sources(self) -> Sequence[str]:
        """All rows of the network, exported or not: the order of the bag's stems."""

    @property
    def contract_name(self) -> str: ...

    @property
    def contract(self) -> Contract: ...

    @property
    def checkpoint(self) -> "CheckpointFacts": ...

    @property
    def bars(self) -> Mapping[str, Bar]:
        """By precision: how near to `run` its graph has to be."""

    def to_onnx(self, precision: str) -> bytes:
        """The ONNX file in `precision`, one of `separation.models.bag.PRECISIONS`."""

    def run(self, segments: np.ndarray, rows: Sequence[str]) -> np.ndarray:
        """PyTorch's own rows: float32 (n, channels, segment) -> (n, rows, channels, segment)."""


class CheckpointFacts(Protocol):
    """What bag.json says of a checkpoint: its name, its sha256, and the licence of its weights."""

    @property
    def source(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def licence(self) -> Licence: ...


def write_model_folder(
    models: Iterable[ExportableModel], name: str, origin: str, out: Path, precision: str
) -> Bag:
    """Exports `models`, then writes bag.json, and returns what it says.

    `name` is the bag's, `origin` the command-line words that name the checkpoints again. Raises `ModelError`
    if the rows of a stem have different contracts, and for a model that computes no numbers.
    """
    return put_in_place(out, lambda folder: _export_all(models, name, origin, folder, out, precision))


def put_in_place(out: Path, fill: Callable[[Path], Bag]) -> Bag:
    """The bag that `fill` returns, at `out`: it writes the graphs' files to the folder that it gets.

    What is at `out` stays until they are all there, and bag.json comes last.
    """
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as folder:
            bag = fill(Path(folder))
            for graph in bag.graphs.values():
                publish(Path(folder, graph.file), out / graph.file)
    except BaseException:
        if is_new:
            with suppress(OSError):  # not empty
                out.rmdir()
        raise
    for licence in dict.fromkeys(graph.licence for graph in bag.graphs.values()):
        said = [each for each in (licence.weights, licence.terms, licence.said_at) if each]
        print(f"licence of the weights: {'; '.join(said)}", flush=True)
    write_bag(bag, out)
    return bag


def _export_all(
    models: Iterable[ExportableModel], name: str, origin: str, folder: Path, out: Path, precision: str
) -> Bag:
    """The bag at `out`, whose graphs are in `folder` yet."""
    contracts: dict[str, Contract] = {}
    graphs: dict[str, GraphFile] = {}
    recipes: dict[str, tuple[WeightedRow, ...]] = {}
    for model in models:
        for stem in model.sources:
            recipes.setdefault(stem, ())
        for stem, weight in model.weights.items():
            for other in recipes[stem][:1]:
                _check_same_contract(name, stem, model, other.graph, graphs[other.graph].contract)
            recipes[stem] += (WeightedRow(model.name, stem, weight),)
        contracts[model.contract_name] = model.contract
        graphs[model.name] = _export(model, origin, folder, out, precision)
    stems = {stem: rows for stem, rows in recipes.items() if rows}
    return Bag(str(out), name, contracts, graphs, stems)


def contract_name(family: str, contract: Contract) -> str:
    """`htdemucs_10s`, or the samples where the seconds of a segment are not whole."""
    seconds, rest = divmod(contract.segment, contract.sample_rate)
    return f"{family}_{contract.segment if rest else f'{seconds}s'}"


def _check_same_contract(name: str, stem: str, model: ExportableModel, other: str, contract: str) -> None:
    if model.contract_name != contract:
        found = f"{other} has the contract {contract}, {model.name} {model.contract_name}"
        raise ModelError(name, f"{stem} is a mean of models with other segments: {found}; expected one")


def _export(model: ExportableModel, origin: str, folder: Path, out: Path, precision: str) -> GraphFile:
    """Writes the graph's file, and prints a line about it as it will be at `out`."""
    content = model.to_onnx(precision)
    path = folder / f"{model.name}.onnx"
    path.write_bytes(content)
    checkpoint = model.checkpoint
    snr_db = None if precision == "fp32" else _snr_db(model, path)
    if snr_db is not None and not snr_db > -math.inf:  # NaN, too
        raise ModelError(checkpoint.source, f"{model.name} computes NaN or infinite samples in {precision}")
    cost = "" if snr_db is None else f"{snr_db:.1f} dB  "
    rows = ", ".join(model.weights)
    print(
        f"{out / path.name}  {rows}  {len(content) / 1e6:.1f} MB  {cost}from {checkpoint.source}, "
        f"sha256 {checkpoint.sha256}",
        flush=True,
    )
    return GraphFile(
        file=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        contract=model.contract_name,
        rows=tuple(model.weights),
        precision=precision,
        source=checkpoint.source,
        source_sha256=checkpoint.sha256,
        snr_db=snr_db,
        origin=origin,
        licence=checkpoint.licence,
    )


def _snr_db(model: ExportableModel, path: Path) -> float:
    """Signal over the precision's error in dB of the worst row, on onnxruntime's CPU; rounded to a tenth, as
    the rest depends on the processor's rounding."""
    rows = tuple(model.weights)
    graph = Graph(path, model.name, model.contract, rows, provider="cpu")
    segments = music_like(TEST_SEGMENT_SEED, model.contract)
    return round(min(each.snr_db for each in compare_rows(model.run(segments, rows), graph(segments))), 1)
