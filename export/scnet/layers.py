"""SCNet's blocks around the dual-path network: tensors are (batch, channels, frequencies, time).

Kernels that SCNet gives to one-dimensional convolutions over time gain an axis of 1, so that its permutes go;
a norm over channels and time is one per frequency then. Attributes of the modules are names in the ONNX file.

Source: msst/models/scnet/scnet.py (0.1.0).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.layers import GatedConv, mean, variance
from export.msst.state import State
from export.operations import band_conv, band_conv_transpose
from export.scnet.sizes import Band, Sizes

EPS = 1e-5  # of nn.GroupNorm


class FrequencyNorm(nn.Module):
    """A norm over channels and time for each frequency: GroupNorm with one group on (channels, time)."""

    def __init__(self, state: State, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(state("weight", channels)[:, None, None])
        self.offset = nn.Parameter(state("bias", channels)[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        centred = x - mean(x)
        return centred * (torch.rsqrt(variance(centred) + EPS) * self.gain) + self.offset


class ConvolutionLayer(nn.Module):
    """x + narrow(swish(norm(depthwise(GLU(widen(norm(x))))))), convolutions over time; the shape stays."""

    def __init__(self, state: State, channels: int, sizes: Sizes) -> None:
        super().__init__()
        hidden, kernel = sizes.hidden(channels), sizes.conv_kernel
        self.padding, self.hidden = (0, kernel // 2), hidden
        self.norm = FrequencyNorm(state.at(0), channels)
        widen = state.at(1)("weight", 2 * hidden, channels, kernel).unsqueeze(2)
        self.widen = GatedConv(widen, state.at(1)("bias", 2 * hidden), self.padding)
        self.depthwise = nn.Parameter(state.at(3)("weight", hidden, 1, kernel).unsqueeze(2))
        self.depthwise_bias = nn.Parameter(state.at(3)("bias", hidden))
        self.inner_norm = FrequencyNorm(state.at(4), hidden)
        self.narrow = nn.Parameter(state.at(6)("weight", channels, hidden, 1).unsqueeze(2))
        self.narrow_bias = nn.Parameter(state.at(6)("bias", channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.widen(self.norm(x))
        y = F.conv2d(y, self.depthwise, self.depthwise_bias, padding=self.padding, groups=self.hidden)
        y = self.inner_norm(y)
        return x + F.conv2d(y * torch.sigmoid(y), self.narrow, self.narrow_bias)


class Reduce(nn.Module):
    """One band of an encoder's layer: fewer frequencies of more channels, then convolutions over time."""

    def __init__(
        self, conv: State, module: State, band: Band, channels: Sequence[int], depth: int, sizes: Sizes
    ):
        super().__init__()
        inputs, outputs = channels
        self.band = band
        self.weight = nn.Parameter(conv("weight", outputs, inputs, band.kernel, 1))
        self.bias = nn.Parameter(conv("bias", outputs))
        layers = (ConvolutionLayer(module.at("layers", index), outputs, sizes) for index in range(depth))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        band = self.band
        own = x[:, :, band.start : band.stop]
        y = self.layers(band_conv(own, self.weight, self.bias, band.stride, band.before, band.after))
        return F.gelu(y)


class Encoder(nn.Module):
    """(batch, in, frequencies, time) -> the next layer's input and the skip, (batch, out, fewer, time)."""

    def __init__(self, state: State, channels: Sequence[int], bands: Sequence[Band], sizes: Sizes) -> None:
        super().__init__()
        self.bands = nn.ModuleList(
            Reduce(
                state.at("SDlayer.convs", index),
                state.at("conv_modules", index),
                band,
                channels,
                depth,
                sizes,
            )
            for index, (band, depth) in enumerate(zip(bands, sizes.conv_depths, strict=True))
        )
        outputs = channels[1]
        self.weight = nn.Parameter(state.at("globalconv")("weight", outputs, outputs, 3, 3))
        self.bias = nn.Parameter(state.at("globalconv")("bias", outputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = torch.cat([band(x) for band in self.bands], dim=2)
        return F.conv2d(skip, self.weight, self.bias, padding=(1, 1)), skip


class Decoder(nn.Module):
    """The mirror of Encoder: (batch, in, fewer, time) and its skip -> (batch, out, frequencies, time).

    `FusionLayer` convolves two copies of x + skip: the sum of both halves of its kernel does the same on one.
    `outputs` are the channels of the result to keep, of `channels[1]` (None: all).
    """

    def __init__(
        self,
        fusion: State,
        upsample: State,
        channels: Sequence[int],
        bands: Sequence[Band],
        outputs: list[int] | None = None,
    ) -> None:
        super().__init__()
        inputs, all_outputs = channels
        weight = fusion.at("conv")("weight", 2 * inputs, 2 * inputs, 3, 3).double()
        halves = (weight[:, :inputs] + weight[:, inputs:]).float()
        self.fusion = GatedConv(halves, fusion.at("conv")("bias", 2 * inputs), (1, 1))
        self.bands, self.weights, self.biases = bands, nn.ParameterList(), nn.ParameterList()
        kept = [*range(all_outputs)] if outputs is None else outputs
        for index, band in enumerate(bands):
            conv = upsample.at("convtrs", index)
            self.weights.append(
                nn.Parameter(conv("weight", inputs, all_outputs, band.kernel, 1)[:, kept].clone())
            )
            self.biases.append(nn.Parameter(conv("bias", all_outputs)[kept].clone()))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        y, begin, outputs = self.fusion(x + skip), 0, []
        for band, weight, bias in zip(self.bands, self.weights, self.biases, strict=True):
            own = y[:, :, begin : begin + band.reduced]
            outputs.append(band_conv_transpose(own, weight, bias, band.stride, band.before, band.after))
            begin += band.reduced
        return torch.cat(outputs, dim=2)
