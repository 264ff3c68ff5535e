"""Operations that the exporter would write with questions about shapes, or not at all."""

import torch
from torch import Tensor
from torch.nn import functional as F


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(g, q, k, v, heads):
        out = g.op("com.microsoft::MultiHeadAttention", q, k, v, num_heads_i=heads)
        out.setType(q.type())
        return out


class _PadTime(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, before: int, after: int, mode: str) -> Tensor:
        return F.pad(x, (before, after), mode=mode)

    @staticmethod
    def symbolic(g, x, before, after, mode):
        rank = x.type().dim()
        pads = torch.tensor([0] * (rank - 1) + [before] + [0] * (rank - 1) + [after])
        return g.op("Pad", x, g.op("Constant", value_t=pads), mode_s=mode)


class _Expand(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        return x.expand(shape).clone()

    @staticmethod
    def symbolic(g, x, shape):
        return g.op("Expand", x, g.op("Constant", value_t=torch.tensor(shape)))


class _QuantizedMatMul(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        return torch.matmul(x, weight.float() * scale) + bias

    @staticmethod
    def symbolic(g, x, weight, scale, bias):
        outputs = scale.type().sizes()[0]
        zero = g.op("Constant", value_t=torch.zeros(outputs, dtype=torch.int8))
        out = g.op("com.microsoft::DynamicQuantizeMatMul", x, weight, scale, zero, bias)
        out.setType(scale.type().with_sizes([None, None, outputs]))
        return out


def quantized_matmul(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """x (weight * scale) + bias for weights of (in, out) in int8 and a scale for every output.

    onnxruntime quantizes x as well, to 8 bits between its least and its greatest number; PyTorch here
    does not.
    """
    return _QuantizedMatMul.apply(x, weight, scale, bias)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k' / sqrt(width of a head)) v, for queries, keys and values of (batch, tokens, channels)."""
    return _Attention.apply(q, k, v, heads)


def pad_time(x: Tensor, before: int, after: int, mode: str = "constant") -> Tensor:
    """x with zeros, or its own reflection (`mode="reflect"`), around its last axis."""
    return _PadTime.apply(x, before, after, mode)


def expand(x: Tensor, *shape: int) -> Tensor:
    """A constant x repeated along its axes of size 1."""
    return _Expand.apply(x, shape)
