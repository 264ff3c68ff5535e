"""A float32 graph in half precision, for GPUs, with float32 kept where half precision is not enough.

Convolutions and matrix products take and give half precision, but for the Fourier transforms. What only
moves numbers, and arithmetic among half-precision numbers alone, follows them. All else stays float32: sums
and what touches one (so every norm), and the residual stream of the transformer, which begins with a norm.
A softmax is inside onnxruntime's attention, which sums it in float32.
"""

import onnx

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
PRODUCTS = {"Conv": 3, "ConvTranspose": 3, "MatMul": 2, "MultiHeadAttention": 3}  # their inputs that count
ARITHMETIC = {"Add": 2, "Sub": 2, "Mul": 2, "Sigmoid": 1, "Erf": 1, "Neg": 1, "Div": 2}
MOVES = {"Reshape": 1, "Transpose": 1, "Slice": 1, "Pad": 1, "Expand": 1, "Unsqueeze": 1, "Squeeze": 1}
FOURIER = ("/spectrogram/", "/waveform/")


def halve(graph: onnx.GraphProto) -> None:
    """Rewrites `graph`, whose nodes are in the order of their use, in place."""
    constant = {tensor.name for tensor in graph.initializer}
    half: set[str] = set()
    cast: dict[tuple[str, int], str] = {}
    nodes: list[onnx.NodeProto] = []

    def as_type(name: str, kind: int) -> str:
        """`name`, or what a Cast of it is called; one Cast serves all who ask."""
        if (name, kind) not in cast:
            cast[name, kind] = f"{name}.{'fp16' if kind == HALF else 'fp32'}"
            nodes.append(onnx.helper.make_node("Cast", [name], [cast[name, kind]], to=kind))
        return cast[name, kind]

    for node in graph.node:
        if node.op_type == "Constant" or all(name in constant for name in node.input):
            constant.update(node.output)
        counted = node.input[: _counted(node)]
        variable = [name for name in counted if name not in constant]
        follows = bool(variable) and all(name in half for name in variable)
        product = node.op_type in PRODUCTS and bool(variable)
        if not node.name.startswith(FOURIER) and (product or follows):
            for index, name in enumerate(counted):
                if name not in half:
                    node.input[index] = as_type(name, HALF)
            half.update(node.output)
        else:
            for index, name in enumerate(node.input):
                if name in half:
                    node.input[index] = as_type(name, FLOAT)
        nodes.append(node)
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.value_info[:]  # the exporter's notes of types: float32 everywhere
    del graph.node[:]
    graph.node.extend(copies)


def _counted(node: onnx.NodeProto) -> int:
    """How many of the node's first inputs decide whether it is done in half precision; 0: it never is."""
    if node.op_type == "Concat":
        return len(node.input)
    return (PRODUCTS | ARITHMETIC | MOVES).get(node.op_type, 0)
