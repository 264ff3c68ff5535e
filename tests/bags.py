"""Model folders for tests: valid ONNX graphs of a contract's shape that take almost no time."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from separation.contract import HTDEMUCS, Contract, htdemucs_contract
from separation.grid import GridRule
from separation.models.bag import Bag, GraphFile, Recipe, WeightedRow
from separation.models.bag_json import write_bag
from separation.overlap_add import StitchedStem
from separation.separator import separate

FOUR_STEMS = ("drums", "bass", "other", "vocals")  # in the order of htdemucs_ft's rows
GAINS = {"drums": 0.5, "bass": 0.25, "other": 0.125, "vocals": 0.0625}
RULE = GridRule(HTDEMUCS.segment, HTDEMUCS.stride)


def write_gain_bag(folder: Path, gains: Mapping[str, float] = GAINS) -> Path:
    """A bag whose graphs scale the mix by `gains`, so that the stems are known to the bit; format 1."""
    folder.mkdir(parents=True, exist_ok=True)
    specialists = {}
    for stem, gain in gains.items():
        data = gain_graph(gain).SerializeToString()
        (folder / f"{stem}.onnx").write_bytes(data)
        specialists[stem] = {
            "file": f"{stem}.onnx",
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "source": "gain",
            "source_sha256": hashlib.sha256(stem.encode()).hexdigest(),
        }
    bag = {
        "name": "gains",
        "stems": [stem for stem in FOUR_STEMS if stem in gains],
        "sample_rate": HTDEMUCS.sample_rate,
        "segment": HTDEMUCS.segment,
        "stride": HTDEMUCS.stride,
        "precision": "fp32",
        "specialists": specialists,
    }
    (folder / "bag.json").write_text(json.dumps(bag))
    return folder


def gain_graph(gain: float) -> onnx.ModelProto:
    shape = ["batch", HTDEMUCS.channels, HTDEMUCS.segment]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["mix", "gain"], ["stem"])],
        "gain",
        [helper.make_tensor_value_info("mix", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("stem", TensorProto.FLOAT, shape)],
        [helper.make_tensor("gain", TensorProto.FLOAT, [], [gain])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def rows_graph(gains: Sequence[float], contract: Contract = HTDEMUCS) -> onnx.ModelProto:
    """A graph of several rows, each the mix times a gain and times a ramp over the segment.

    The ramp, from 0.5 to 1.5, shows where in its segment a chunk was cut.
    """
    shape = ["batch", contract.channels, contract.segment]
    ramp = np.linspace(0.5, 1.5, contract.segment, dtype=np.float32)
    factor = np.array(gains, np.float32)[None, :, None, None]
    constants = {"axis": np.array([1]), "factor": factor, "ramp": ramp[None, None, None]}
    graph = helper.make_graph(
        [
            helper.make_node("Unsqueeze", ["mix", "axis"], ["row"]),
            helper.make_node("Mul", ["row", "ramp"], ["bent"]),
            helper.make_node("Mul", ["bent", "factor"], ["stems"]),
        ],
        "rows",
        [helper.make_tensor_value_info("mix", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("stems", TensorProto.FLOAT, [shape[0], len(gains), *shape[1:]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_rows_bag(
    folder: Path,
    graphs: Mapping[str, Mapping[str, float]],
    stems: Mapping[str, Recipe],
    contracts: Mapping[str, Contract] | None = None,
    contract_of: Mapping[str, str] | None = None,
) -> Path:
    """A bag of format 2: `graphs` are rows and their gains by the graph's name, see `rows_graph`.

    All graphs have htdemucs's contract but those that `contract_of` names another one of `contracts` for.
    """
    contracts = contracts or {"htdemucs": HTDEMUCS}
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, gains in graphs.items():
        contract = (contract_of or {}).get(name, "htdemucs")
        data = rows_graph(list(gains.values()), contracts[contract]).SerializeToString()
        (folder / f"{name}.onnx").write_bytes(data)
        files[name] = graph_file(f"{name}.onnx", data, contract, tuple(gains))
    write_bag(Bag(str(folder), "rows", contracts, files, stems), folder)
    return folder


def write_one_graph(folder: Path, gains: Mapping[str, float] = GAINS) -> Path:
    """A bag of one graph, `all`, which gives every stem of `gains` as a row."""
    return write_rows_bag(folder, {"all": gains}, {stem: (WeightedRow("all", stem),) for stem in gains})


def write_two_contracts(folder: Path) -> Path:
    """A graph of two rows under htdemucs's contract, and one of a row under that of 10 s."""
    return write_rows_bag(
        folder,
        {"low": {"bass": 0.25, "drums": 0.5}, "high": {"vocals": 0.125}},
        {
            "drums": (WeightedRow("low", "drums"),),
            "bass": (WeightedRow("low", "bass"),),
            "vocals": (WeightedRow("high", "vocals"),),
        },
        {"htdemucs": HTDEMUCS, "htdemucs_10s": htdemucs_contract(Fraction(10))},
        {"high": "htdemucs_10s"},
    )


def graph_file(file: str, data: bytes, contract: str, rows: tuple[str, ...], **more: Any) -> GraphFile:
    sha256 = hashlib.sha256(data).hexdigest()
    return GraphFile(file, sha256, len(data), contract, rows, "fp32", "gain", sha256, **more)


def bag_of_stems(stems: Sequence[str] = FOUR_STEMS, contract: Contract = HTDEMUCS) -> Bag:
    """A graph of one row per stem, without a folder."""
    graphs = {stem: graph_file(f"{stem}.onnx", stem.encode(), "contract", (stem,)) for stem in stems}
    return Bag(
        ".", "test", {"contract": contract}, graphs, {stem: (WeightedRow(stem, stem),) for stem in stems}
    )


def separate_with(
    mix: np.ndarray,
    graphs: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    rule: GridRule = RULE,
    contract: Contract = HTDEMUCS,
    **options: Any,
) -> dict[str, StitchedStem]:
    """`separate` with a function per stem: (batch, channels, segment) -> the same shape."""

    def as_rows(graph: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
        return lambda segments: graph(segments)[:, None]

    bag = bag_of_stems(list(graphs), contract)
    rows = {stem: as_rows(graph) for stem, graph in graphs.items()}
    return separate(mix, bag, rows, bag.stems, {"contract": rule}, **options)
