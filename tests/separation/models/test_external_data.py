"""All references to other files that onnxruntime would follow are found, also in unusual encodings."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

from separation.models.external_data import Malformed, external_reference
from tests.bags import gain_graph


def away(name: str = "w") -> TensorProto:
    """A tensor stored in another file."""
    tensor = TensorProto(name=name, dims=[1], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def with_attribute(**fields: object) -> ModelProto:
    model = gain_graph(0.5)
    model.graph.node[0].attribute.append(AttributeProto(name="a", **fields))
    return model


def graph_of(tensor: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [], [tensor])


def in_function() -> ModelProto:
    model = gain_graph(0.5)
    model.functions.append(onnx.FunctionProto(name="f", node=with_attribute(t=away()).graph.node))
    return model


def initializers(*tensors: TensorProto, **sparse: object) -> ModelProto:
    model = gain_graph(0.5)
    model.graph.initializer.extend(tensors)
    model.graph.sparse_initializer.extend(sparse.get("sparse", ()))
    return model


WAYS = {
    "initializer": initializers(away()),
    "sparse values": initializers(sparse=[SparseTensorProto(values=away())]),
    "sparse indices": initializers(sparse=[SparseTensorProto(indices=away())]),
    "constant": with_attribute(t=away()),
    "constants": with_attribute(tensors=[away()]),
    "sparse constant": with_attribute(sparse_tensor=SparseTensorProto(values=away())),
    "branch": with_attribute(g=graph_of(away())),
    "branches": with_attribute(graphs=[graph_of(away())]),
    "branch of a branch": with_attribute(g=with_attribute(g=graph_of(away())).graph),
    "function": in_function(),
    "training": ModelProto(training_info=[onnx.TrainingInfoProto(algorithm=graph_of(away()))]),
}


@pytest.mark.parametrize("way", WAYS)
def test_weights_elsewhere_are_found(way: str) -> None:
    assert external_reference(WAYS[way].SerializeToString()) == "weights in another file"


def test_a_mark_alone_is_enough() -> None:
    tensor = away()
    del tensor.external_data[:]
    assert external_reference(initializers(tensor).SerializeToString()) == "weights in another file"


def test_another_way_of_writing_the_same_hides_nothing() -> None:
    """A varint may have superfluous bytes, which a plain search for bytes would miss."""
    data = initializers(away()).SerializeToString()
    entry = b"\n\x08location"
    at = data.index(entry)
    # One byte more here, and in each of the five messages around it.
    longer = data[:at] + b"\n\x88\x00location" + data[at + len(entry) :]
    for name in ("external_data", "initializer", "graph"):
        longer = _grown(longer, data, name)
    assert onnx.ModelProto.FromString(longer) == onnx.ModelProto.FromString(data)
    assert entry not in longer
    assert external_reference(longer) == "weights in another file"


def _grown(longer: bytes, data: bytes, name: str) -> bytes:
    """`longer` with the length of one enclosing message increased by one."""
    model = onnx.ModelProto.FromString(data)
    tensor = model.graph.initializer[-1]
    tag, inner = {
        "external_data": (b"\x6a", tensor.external_data[0]),
        "initializer": (b"\x2a", tensor),
        "graph": (b"\x3a", model.graph),
    }[name]
    size = inner.ByteSize()
    old, new = (tag + _varint(value) for value in (size, size + 1))
    assert len(old) == len(new)
    assert longer.count(old) >= 1
    at = longer.rindex(old) if name != "graph" else longer.index(old)
    return longer[:at] + new + longer[at + len(old) :]


def _varint(value: int) -> bytes:
    data = b""
    while value >= 0x80:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def test_a_compiled_engine_is_refused() -> None:
    """TensorRT's provider would load and run the file that `ep_cache_context` names."""
    model = gain_graph(0.5)
    node = helper.make_node(
        "EPContext", ["mix"], ["x"], domain="com.microsoft", embed_mode=0, ep_cache_context="engine.bin"
    )
    model.graph.node.append(node)
    assert "EPContext" in external_reference(model.SerializeToString())


def test_a_graph_of_its_own_is_let_through(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.arange(99, dtype=np.float32), "location")
    model = initializers(weights)
    model.doc_string = "\n\x08location external_data EPContext"
    assert external_reference(model.SerializeToString()) == ""


@pytest.mark.parametrize("data", [b"\x0b", b"\x3a\x7f", b"\xff" * 11, b"\x80", b"\x3a\x02\x0a"])
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(Malformed):
        external_reference(data)


def test_depth_has_an_end() -> None:
    data = b""
    for _ in range(400):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # g of an attribute of a node of a graph
            data = tag + _varint(len(data)) + data
    with pytest.raises(Malformed):
        external_reference(b"\x3a" + _varint(len(data)) + data)
