"""A float32 graph rewritten to half precision, for GPUs; float32 stays where half precision is not enough.

Convolutions and matrix products take and give half precision, except in the modules of FLOAT32. Operations
that only move numbers, and arithmetic whose inputs are all in half precision, follow them. Everything else
stays float32: sums and whatever depends on one (so every norm), and the residual stream of a transformer,
which begins with a norm or in FLOAT32. A softmax is inside onnxruntime's attention, which sums it in float32.
"""

import onnx

from export.onnx_file import replace_nodes

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
# By operator: how many of its first inputs decide whether it runs in half precision.
PRODUCTS = {"Conv": 3, "ConvTranspose": 3, "MatMul": 2, "MultiHeadAttention": 3}
ARITHMETIC = {"Add": 2, "Sub": 2, "Mul": 2, "Sigmoid": 1, "Erf": 1, "Neg": 1, "Div": 2}
MOVES = {"Reshape": 1, "Transpose": 1, "Slice": 1, "Pad": 1, "Expand": 1, "Unsqueeze": 1, "Squeeze": 1}
# Node names begin with the attribute that holds the module. A RoFormer's residual stream begins in its band
# split, and has no norm of its own there.
FLOAT32 = ("/spectrogram/", "/waveform/", "/band_split/")


def to_half_precision(graph: onnx.GraphProto) -> None:
    """Rewrites `graph`, whose nodes are in execution order, in place. Weights stay as they are stored."""
    constant = {tensor.name for tensor in graph.initializer}
    half: set[str] = set()
    casts: dict[tuple[str, int], str] = {}
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, kind: int) -> str:
        """The name of a Cast of `name` to type `kind`, made on first use and shared after that."""
        if (name, kind) not in casts:
            casts[name, kind] = f"{name}.{'fp16' if kind == HALF else 'fp32'}"
            nodes.append(onnx.helper.make_node("Cast", [name], [casts[name, kind]], to=kind))
        return casts[name, kind]

    for node in graph.node:
        if node.op_type == "Constant" or all(name in constant for name in node.input):
            constant.update(node.output)
        deciding = node.input[: _deciding_inputs(node)]
        variable = [name for name in deciding if name not in constant]
        follows = bool(variable) and all(name in half for name in variable)
        product = node.op_type in PRODUCTS and bool(variable)
        if not node.name.startswith(FLOAT32) and (product or follows):
            for index, name in enumerate(deciding):
                if name not in half:
                    node.input[index] = cast(name, HALF)
            half.update(node.output)
        else:
            for index, name in enumerate(node.input):
                if name in half:
                    node.input[index] = cast(name, FLOAT)
        nodes.append(node)
    del graph.value_info[:]  # the exporter's notes of types: float32 everywhere
    replace_nodes(graph, nodes)


def _deciding_inputs(node: onnx.NodeProto) -> int:
    """How many of the node's first inputs decide whether it runs in half precision; 0: it never does."""
    if node.op_type == "Concat":
        return len(node.input)
    return (PRODUCTS | ARITHMETIC | MOVES).get(node.op_type, 0)
