"""Linear layers in 8 bits, for CPUs: weights are quantized here, activations by onnxruntime as it runs.

A family says which of its layers bear it (`export/htdemucs/graph.py`); `quantize` replaces them. What the
precision costs is measured on each exported graph and written into bag.json as `snr_db`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from export.layers import Linear
from export.operations import apply

LARGEST = 127  # the int8 value of each output's largest weight; symmetric, so the zero point is 0
SMALLEST_RANGE = 1e-12  # keeps the scale of an output whose weights are all zeros above 0


class Int8Linear(Linear):
    """(batch, tokens, inputs) -> (batch, tokens, outputs) as `Linear`, multiplied in 8 bits.

    The weight is int8 (inputs, outputs) with one float32 step per output; a LayerScale is multiplied in
    before. The buffers' names are names in the ONNX file; the float32 weights are not in it, but the exporter
    counts them when it numbers its values, so a file's bytes depend on their being here.
    """

    quantized: Tensor
    step: Tensor
    quantized_bias: Tensor

    def __init__(self, linear: Linear) -> None:
        super().__init__(linear.weight, linear.bias, linear.scale)
        weight, bias = linear.weight.detach(), linear.bias.detach()
        if linear.scale is not None:
            weight, bias = weight * linear.scale.detach()[:, None], bias * linear.scale.detach()
        largest = weight.abs().amax(1).clamp(min=SMALLEST_RANGE)
        self.register_buffer("quantized", torch.round(weight.t() / largest * LARGEST).to(torch.int8))
        self.register_buffer("step", largest / LARGEST)
        self.register_buffer("quantized_bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        return apply(_QuantizedMatMul, x, self.quantized, self.step, self.quantized_bias)


def quantize(module: nn.Module) -> None:
    """Replaces every `Linear` below `module` by an `Int8Linear`, in place."""
    for name, child in list(module.named_children()):
        if isinstance(child, Linear):
            setattr(module, name, Int8Linear(child))
        else:
            quantize(child)


class _QuantizedMatMul(torch.autograd.Function):
    """x (weight * step) + bias, written into a graph as onnxruntime's DynamicQuantizeMatMul.

    onnxruntime quantizes x as well, to 8 bits between its smallest and its largest number; `forward`, which
    only PyTorch runs, does not.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, step: Tensor, bias: Tensor) -> Tensor:
        return torch.matmul(x, weight.float() * step) + bias

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, step: Any, bias: Any) -> Any:
        outputs = step.type().sizes()[0]
        zero = g.op("Constant", value_t=torch.zeros(outputs, dtype=torch.int8))
        product = g.op("com.microsoft::DynamicQuantizeMatMul", x, weight, step, zero, bias)
        product.setType(step.type().with_sizes([None, None, outputs]))
        return product
