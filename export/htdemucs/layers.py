"""HTDemucs's convolution blocks, computed with fewer passes over memory; every number is the checkpoint's.

Time and frequency branch share them: tensors are (batch, channels, frequencies, time), with one frequency in
the time branch. Kernels that demucs gives to one-dimensional convolutions gain an axis
of 1, so that the frequency branch needs none of demucs's permutes.

Whatever depends on weights alone (a scale times a kernel) is written as an operation of the graph:
onnxruntime folds it when it loads, and the file keeps the checkpoint's own half-precision numbers.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.layers import GatedConv, mean, variance
from export.operations import expand, pad_time

DemucsModule = Any  # a module of demucs: their attributes have no types


def as_2d(weight: Tensor) -> Tensor:
    """A kernel (out, in, time) as (out, in, 1, time)."""
    return weight.detach().unsqueeze(2) if weight.dim() == 3 else weight.detach()


def gated_conv(conv: DemucsModule) -> GatedConv:
    """`rewrite` of HEncLayer and HDecLayer in demucs/hdemucs.py, and the GLU that follows it."""
    padding = conv.padding if len(conv.padding) == 2 else (0, *conv.padding)
    return GatedConv(as_2d(conv.weight), conv.bias.detach(), padding)


class ResidualLayer(nn.Module):
    """One layer of DConv: x + scale * GLU(norm(expand(GELU(norm(squeeze(x)))))), a norm per frequency.

    (batch, channels, frequencies, time) -> the same shape; `time` is fixed in the graph.

    The expanded tensor has 16 times the channels of the squeezed one, h, and its statistics follow from h:
    with W the expanding kernel, b its bias, w and c their means over the output channels, and R the
    triangular factor of [W - w, b - c],

        mean = w mean(h) + c        variance = mean over time of |R [h; 1]|^2 / channels + variance of w h

    The norm then is a scale of h and two more input channels of the expanding convolution: rstd, which meets
    gain * b, and mean * rstd, which meets -gain.
    Sources: `DConv` in demucs/demucs.py, LayerScale in demucs/transformer.py.
    """

    one: Tensor
    triangle: Tensor
    triangle_bias: Tensor
    average: Tensor
    average_bias: Tensor

    def __init__(self, layer: DemucsModule, time: int) -> None:
        super().__init__()
        squeeze, inner_norm, _, expand, norm, _, scale = layer
        self.dilation = (1, squeeze.dilation[0])
        self.padding = (0, squeeze.padding[0])
        self.squeeze = nn.Parameter(as_2d(squeeze.weight))
        self.squeeze_bias = nn.Parameter(squeeze.bias.detach())
        self.inner_eps, self.eps = inner_norm.eps, norm.eps
        self.inner_gain = nn.Parameter(inner_norm.weight.detach()[:, None, None])
        self.inner_offset = nn.Parameter(inner_norm.bias.detach()[:, None, None])
        self.expand = nn.Parameter(as_2d(expand.weight))
        self.expand_bias = nn.Parameter(expand.bias.detach())
        self.gain = nn.Parameter(norm.weight.detach())
        self.offset = nn.Parameter(norm.bias.detach())
        self.scale = nn.Parameter(scale.scale.detach())
        self.time = time
        self.register_buffer("one", torch.ones(1, 1, 1, 1))

        weight = torch.cat([expand.weight.detach()[:, :, 0], expand.bias.detach()[:, None]], dim=1).double()
        average = weight.mean(0, keepdim=True)
        triangle = torch.linalg.qr(weight - average).R
        triangle *= (triangle.shape[0] / weight.shape[0]) ** 0.5  # `variance` divides by its channels
        self.register_buffer("triangle", triangle[:, :-1, None, None].float())
        self.register_buffer("triangle_bias", triangle[:, -1].float())
        self.register_buffer("average", average[:, :-1, None, None].float())
        self.register_buffer("average_bias", average[0, -1:].float())

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.conv2d(x, self.squeeze, self.squeeze_bias, padding=self.padding, dilation=self.dilation)
        hidden = hidden - mean(hidden)
        gain = torch.rsqrt(variance(hidden) + self.inner_eps) * self.inner_gain
        hidden = F.gelu(hidden * gain + self.inner_offset)

        averages = F.conv2d(hidden, self.average, self.average_bias)
        centre = mean(averages)
        over_channels = F.conv2d(hidden, self.triangle, self.triangle_bias)
        rstd = torch.rsqrt(variance(averages - centre) + variance(over_channels) + self.eps)

        ones = expand(self.one, 1, 1, 1, self.time)
        normed = torch.cat([hidden * rstd, ones * rstd, ones * (centre * rstd)], dim=1)
        gain = self.gain[:, None, None, None]
        weight = torch.cat([self.expand * gain, self.expand_bias[:, None, None, None] * gain, -gain], dim=1)
        channels = self.scale.shape[0]
        gate = torch.sigmoid(F.conv2d(normed, weight[channels:], self.offset[channels:]))
        content = F.conv2d(
            normed, weight[:channels] * self.scale[:, None, None, None], self.offset[:channels] * self.scale
        )
        return x + content * gate


def residual_layers(layer: DemucsModule, time: int) -> nn.Sequential:
    """The DConv of an encoder or a decoder of demucs; empty where `dconv_mode` leaves it out."""
    found = () if layer.dconv is None else layer.dconv.layers
    return nn.Sequential(*(ResidualLayer(each, time) for each in found))


class Encoder(nn.Module):
    """(batch, in, frequencies, time) -> (batch, out, frequencies / 4, time).

    In the time branch (batch, in, 1, time) -> (batch, out, 1, time / 4). `time` is the length of the
    input; demucs pads it with zeros to a multiple of 4.
    Source: HEncLayer, demucs/hdemucs.py.
    """

    def __init__(self, layer: DemucsModule, time: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(as_2d(layer.conv.weight))
        self.bias = nn.Parameter(layer.conv.bias.detach())
        self.freq, self.odd = layer.freq, -time % 4
        time = time if layer.freq else -(-time // 4)
        self.residual = residual_layers(layer, time)
        self.rewrite = gated_conv(layer.rewrite)

    def forward(self, x: Tensor) -> Tensor:
        if self.freq:
            y = F.conv2d(x, self.weight, self.bias, stride=(4, 1), padding=(2, 0))
        else:
            y = F.conv2d(pad_time(x, 2, 2 + self.odd), self.weight, self.bias, stride=(1, 4))
        encoded: Tensor = self.rewrite(self.residual(F.gelu(y)))
        return encoded


class Decoder(nn.Module):
    """The mirror of Encoder: (batch, in, frequencies, time) -> (batch, out, 4 frequencies, time).

    In the time branch (batch, in, 1, time / 4) -> (batch, out, 1, time). `time` is the length of the output,
    `outputs` the channels of it to keep (None: all).
    Source: HDecLayer, demucs/hdemucs.py.
    """

    def __init__(self, layer: DemucsModule, time: int, outputs: list[int] | None = None) -> None:
        super().__init__()
        self.rewrite = gated_conv(layer.rewrite)
        inner = time if layer.freq else -(-time // 4)
        self.residual = residual_layers(layer, inner)
        weight, bias = as_2d(layer.conv_tr.weight), layer.conv_tr.bias.detach()
        if outputs is not None:
            weight, bias = weight[:, outputs], bias[outputs]
        self.weight = nn.Parameter(weight.clone())
        self.bias = nn.Parameter(bias.clone())
        self.freq, self.last, self.time = layer.freq, layer.last, time

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        y = self.residual(self.rewrite(x + skip))
        if self.freq:
            z = F.conv_transpose2d(y, self.weight, self.bias, stride=(4, 1), padding=(2, 0))
        else:
            z = F.conv_transpose2d(y, self.weight, self.bias, stride=(1, 4), padding=(0, 2))[..., : self.time]
        return z if self.last else F.gelu(z)
