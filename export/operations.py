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


def band_conv(x: Tensor, weight: Tensor, bias: Tensor, stride: int, before: int, after: int) -> Tensor:
    """A convolution over frequencies, (batch, in, frequencies, time), zeros `before` and `after` them.

    `weight` is (out, in, kernel, 1). In the graph one node, which PyTorch's equal paddings do not allow.
    """
    return apply(_BandConv, x, weight, bias, stride, before, after)


def band_conv_transpose(
    x: Tensor, weight: Tensor, bias: Tensor, stride: int, before: int, after: int
) -> Tensor:
    """The transposed convolution, `weight` (in, out, kernel, 1), without the first `before` and the last
    `after` frequencies of its result."""
    return apply(_BandConvTranspose, x, weight, bias, stride, before, after)


def lstm(x: Tensor, weight: Tensor, recurrence: Tensor, bias: Tensor) -> Tensor:
    """An LSTM in both directions over (steps, batch, in) -> (steps, 2, batch, hidden), from states of 0.

    `weight` is (2, 4 hidden, in), `recurrence` (2, 4 hidden, hidden) and `bias` (2, 8 hidden), first that of
    the input; the gates are in the order of ONNX: input, output, forget, cell. In the graph ONNX's LSTM.
    """
    return apply(_Lstm, x, weight, recurrence, bias)


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


class _BandConv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, before: int, after: int
    ) -> Tensor:
        return F.conv2d(F.pad(x, (0, 0, before, after)), weight, bias, (stride, 1))

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, bias: Any, stride: int, before: int, after: int) -> Any:
        outputs, _, kernel, _ = weight.type().sizes()
        pads = [before, 0, after, 0]
        out = g.op("Conv", x, weight, bias, kernel_shape_i=[kernel, 1], strides_i=[stride, 1], pads_i=pads)
        out.setType(weight.type().with_sizes([None, outputs, None, None]))
        return out


class _BandConvTranspose(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int, before: int, after: int
    ) -> Tensor:
        both = min(before, after)
        given = F.conv_transpose2d(x, weight, bias, (stride, 1), (both, 0))
        return given[:, :, before - both : both - after or None]  # without a question about its shape

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, bias: Any, stride: int, before: int, after: int) -> Any:
        _, outputs, kernel, _ = weight.type().sizes()
        pads = [before, 0, after, 0]
        out = g.op(
            "ConvTranspose", x, weight, bias, kernel_shape_i=[kernel, 1], strides_i=[stride, 1], pads_i=pads
        )
        out.setType(weight.type().with_sizes([None, outputs, None, None]))
        return out


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, recurrence: Tensor, bias: Tensor) -> Tensor:
        steps, batch, _ = x.shape
        hidden = recurrence.shape[2]
        weights = []
        for direction in range(2):
            own = (weight[direction], recurrence[direction], *bias[direction].chunk(2))
            for each in own:
                i, o, f, c = each.chunk(4)
                weights.append(torch.cat([i, f, c, o]))  # the order of PyTorch
        zeros = x.new_zeros(2, batch, hidden)
        out, _, _ = torch.lstm(x, (zeros, zeros), weights, True, 1, 0.0, False, True, False)
        return out.reshape(steps, batch, 2, hidden).transpose(1, 2)

    @staticmethod
    def symbolic(g: Any, x: Any, weight: Any, recurrence: Any, bias: Any) -> Any:
        hidden = recurrence.type().sizes()[2]
        out = g.op("LSTM", x, weight, recurrence, bias, hidden_size_i=hidden, direction_s="bidirectional")
        out.setType(weight.type().with_sizes([None, 2, None, hidden]))
        return out
