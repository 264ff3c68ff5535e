"""Model folders for tests: valid ONNX graphs of the contract's shape that take almost no time."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from separation.contract import CHANNELS, SAMPLE_RATE, SEGMENT, STEMS, STRIDE

GAINS = {"drums": 0.5, "bass": 0.25, "other": 0.125, "vocals": 0.0625}


def write_gain_bag(folder: Path, gains: Mapping[str, float] = GAINS) -> Path:
    """A bag whose specialists scale the mix by `gains`, so that the stems are known to the bit."""
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
        "stems": [stem for stem in STEMS if stem in gains],
        "sample_rate": SAMPLE_RATE,
        "segment": SEGMENT,
        "stride": STRIDE,
        "precision": "fp32",
        "specialists": specialists,
    }
    (folder / "bag.json").write_text(json.dumps(bag))
    return folder


def gain_graph(gain: float) -> onnx.ModelProto:
    shape = ["batch", CHANNELS, SEGMENT]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["mix", "gain"], ["stem"])],
        "gain",
        [helper.make_tensor_value_info("mix", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("stem", TensorProto.FLOAT, shape)],
        [helper.make_tensor("gain", TensorProto.FLOAT, [], [gain])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
