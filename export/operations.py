"""Operations that the exporter would write with questions about shapes, or not at all.

Each is an autograd function with PyTorch's computation (`forward`) and what the ONNX graph gets instead
(`symbolic`, whose `g` and values are the exporter's own). `export.int8` holds the one for 8 bits.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k' / sqrt(channels of a head)) v per head: (batch, tokens, channels) each, and the result.

    In the graph one node, onnxruntime's MultiHeadAttention.
    """
    return apply(_Attention, q, k, v, heads)


def pad_time(x: Tensor, before: int, after: int, mode: str = "constant") -> Tensor:
    """(..., time) -> (..., before + time + after): zeros, or x's reflection (`mode="reflect"`) around it."""
    return apply(_PadTime, x, before, after, mode)


def expand(x: Tensor, *shape: int) -> Tensor:
    """A constant x repeated to `shape` along its axes of size 1."""
    return apply(_Expand, x, shape)


def apply(function: Any, *arguments: Any) -> Tensor:
    """The result of an autograd function, whose `apply` has no types."""
    result: Tensor = function.apply(*arguments)
    return result


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(g: Any, q: Any, k: Any, v: Any, heads: int) -> Any:
        out = g.op("com.microsoft::MultiHeadAttention", q, k, v, num_heads_i=heads)
        out.setType(q.type())
        return out


class _PadTime(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, before: int, after: int, mode: str) -> Tensor:
        return F.pad(x, (before, after), mode=mode)

    @staticmethod
    def symbolic(g: Any, x: Any, before: int, after: int, mode: str) -> Any:
        rank = x.type().dim()
        pads = torch.tensor([0] * (rank - 1) + [before] + [0] * (rank - 1) + [after])
        return g.op("Pad", x, g.op("Constant", value_t=pads), mode_s=mode)


class _Expand(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        return x.expand(shape).clone()

    @staticmethod
    def symbolic(g: Any, x: Any, shape: tuple[int, ...]) -> Any:
        return g.op("Expand", x, g.op("Constant", value_t=torch.tensor(shape)))
