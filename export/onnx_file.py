"""A PyTorch module that maps segments to the rows of its output -> the bytes of a checked ONNX file.

The file depends on the module's weights and its attributes' names only: the same checkpoint, the same bytes.
"""

import io
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

OPSET = 17
MICROSOFT = "com.microsoft"  # the domain of onnxruntime's own operations
WORTH_HALVING = 1024  # numbers in an initializer; smaller ones stay float32


def to_graph(
    module: nn.Module, segment_shape: tuple[int, ...], rows: int, *, microsoft: bool = True
) -> onnx.ModelProto:
    """`module` in eval mode, traced: `mix` float32 (batch, *segment_shape) -> `stem`, the same shape.

    With several rows -> `stems` (batch, rows, *segment_shape). The batch axis is free. `microsoft`: the
    module has operations of onnxruntime's own.
    """
    output = "stem" if rows == 1 else "stems"
    output_shape = segment_shape if rows == 1 else (rows, *segment_shape)
    mix = torch.zeros(1, *segment_shape)
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's notices that it is the older of two
        torch.onnx.export(
            module.eval(), (mix,), file,  # type: ignore[arg-type]  # it writes to open files too
            dynamo=False, opset_version=OPSET, do_constant_folding=False,
            input_names=["mix"], output_names=[output],
            dynamic_axes={"mix": {0: "batch"}, output: {0: "batch"}},
            custom_opsets={MICROSOFT: 1} if microsoft else {},
        )  # fmt: skip
    model = onnx.load_model_from_string(file.getvalue())
    for value, shape in ((model.graph.input[0], segment_shape), (model.graph.output[0], output_shape)):
        axes = value.type.tensor_type.shape.dim
        for axis, size in zip(axes, ("batch", *shape), strict=True):
            axis.Clear()
            setattr(axis, "dim_param" if size == "batch" else "dim_value", size)
    drop_aliases(model.graph)
    return model


def to_bytes(model: onnx.ModelProto) -> bytes:
    """The checked file, with numbers stored in half precision wherever that loses nothing."""
    store_halves(model.graph)
    onnx.checker.check_model(model, full_check=False)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def drop_aliases(graph: onnx.GraphProto) -> None:
    """Removes the Identity nodes that the exporter writes for equal initializers: onnxruntime loses track of
    those initializers otherwise."""
    initializers = {tensor.name for tensor in graph.initializer}
    aliases = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input[0] in initializers
    }
    nodes = [node for node in graph.node if node.output[0] not in aliases]
    for node in nodes:
        node.input[:] = [aliases.get(name, name) for name in node.input]
    replace_nodes(graph, nodes)


def store_halves(graph: onnx.GraphProto) -> None:
    """Stores initializers in half precision, behind a Cast, where that loses nothing.

    Checkpoints of demucs are stored so: half the file, same bits.
    """
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < WORTH_HALVING:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if np.array_equal(halves.astype(np.float32), values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(halves, name + ".half"))
            casts.append(onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))
    replace_nodes(graph, [*casts, *graph.node])


def replace_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Sets the graph's nodes to copies of `nodes`, which may be the graph's own."""
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
