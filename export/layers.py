"""Layers that families share: means that are exact enough, norms over whole segments, gated convolutions, and
linear layers, which `export.int8` replaces where a graph multiplies in 8 bits.

Attributes of the modules are names in the ONNX file.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.operations import pad_time

LONGEST_SUM = 1024  # numbers summed at once


def mean(x: Tensor, over_frequencies: bool = False) -> Tensor:
    """(batch, channels, frequencies, time) -> (batch, 1, frequencies, 1): the mean over channels and time.

    With `over_frequencies` over these as well: (batch, 1, 1, 1). Summed in stages, never more than 1024
    numbers at once: a runtime's single sum over many numbers has an error of 1e-6 and more, which costs up to
    40 dB. Channels first, because that leaves the least to sum.
    """
    frequencies = int(x.shape[2])
    x = mean_of_last(x.mean(1, keepdim=True))
    return mean_of_last(x.reshape(-1, 1, 1, frequencies)) if over_frequencies and frequencies > 1 else x


def mean_of_last(x: Tensor) -> Tensor:
    """(batch, 1, frequencies, n) -> (batch, 1, frequencies, 1): the mean over the last axis.

    The reshapes between the sums also keep OpenVINO from merging them into a single one again.
    """
    frequencies, length = int(x.shape[2]), int(x.shape[3])
    if length <= LONGEST_SUM:
        return x.mean(3, keepdim=True)
    blocks = -(-length // LONGEST_SUM)
    width = -(-length // blocks)
    x = pad_time(x, 0, blocks * width - length).reshape(-1, frequencies, blocks, width)
    return x.sum(3).sum(2, keepdim=True).reshape(-1, 1, frequencies, 1) / length


def variance(centred: Tensor, over_frequencies: bool = False) -> Tensor:
    """The biased variance of numbers whose mean is 0, over the same axes as `mean` and of its shape."""
    return mean(centred * centred, over_frequencies)


def complex_product(x: Tensor, y: Tensor) -> Tensor:
    """x y of complex numbers, (batch, rows, channels, 2, n) each, real before imaginary; one may have one
    row for all of the other's."""
    x_real, x_imaginary = x[:, :, :, :1], x[:, :, :, 1:]
    y_real, y_imaginary = y[:, :, :, :1], y[:, :, :, 1:]
    product = [x_real * y_real - x_imaginary * y_imaginary, x_real * y_imaginary + x_imaginary * y_real]
    return torch.cat(product, dim=3)


class GatedConv(nn.Module):
    """A convolution followed by GLU over its channels: content * sigmoid(gate), without splitting a tensor.

    (batch, in, frequencies, time) -> (batch, out, frequencies, time); `weight` is (2 out, in, height, width),
    `padding` that of both axes.
    """

    def __init__(self, weight: Tensor, bias: Tensor, padding: tuple[int, int]) -> None:
        super().__init__()
        self.content, self.gate = (nn.Parameter(half.clone()) for half in weight.chunk(2))
        self.content_bias, self.gate_bias = (nn.Parameter(half.clone()) for half in bias.chunk(2))
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(F.conv2d(x, self.gate, self.gate_bias, padding=self.padding))
        return F.conv2d(x, self.content, self.content_bias, padding=self.padding) * gate


class WholeNorm(nn.Module):
    """One norm over all tokens and channels of a segment, (batch, tokens, channels) -> the same shape.

    GroupNorm with one group. `gain` and `offset` are (channels,).
    """

    def __init__(self, gain: Tensor, offset: Tensor, eps: float) -> None:
        super().__init__()
        self.gain = nn.Parameter(gain)
        self.offset = nn.Parameter(offset)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        centred = x - self._mean(x)
        rstd = torch.rsqrt(self._mean(centred * centred) + self.eps)
        return centred * (rstd * self.gain) + self.offset

    @staticmethod
    def _mean(x: Tensor) -> Tensor:
        tokens = int(x.shape[1])
        return mean_of_last(x.mean(2).reshape(-1, 1, 1, tokens)).reshape(-1, 1, 1)


class Linear(nn.Module):
    """(batch, tokens, inputs) -> (batch, tokens, outputs): x W' + b.

    `weight` is (outputs, inputs), `bias` (outputs,). `scale`, (outputs,), is the LayerScale that follows the
    layer in the checkpoint, if any; it multiplies weight and bias inside the graph, so that the file keeps
    the checkpoint's own half-precision numbers.
    """

    def __init__(self, weight: Tensor, bias: Tensor, scale: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = nn.Parameter(bias.detach().clone())
        self.scale = None if scale is None else nn.Parameter(scale.detach())

    def forward(self, x: Tensor) -> Tensor:
        if self.scale is None:
            return torch.matmul(x, self.weight.t()) + self.bias
        return torch.matmul(x, (self.weight * self.scale[:, None]).t()) + self.bias * self.scale
