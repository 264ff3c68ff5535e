"""SCNet's separation network: LSTMs over frequencies and over time, by turns on time frames and on their
Fourier transform. Tensors are (batch, frequencies, time, channels): only LSTMs over time move memory.

Source: msst/models/scnet/separation.py (0.1.0).
"""

import math

import torch
from torch import Tensor, nn

from export.layers import Linear, WholeNorm
from export.msst.state import State
from export.operations import lstm
from export.scnet.layers import EPS

# PyTorch's input, forget, cell, output in the order of ONNX: input, output, forget, cell
GATES = (0, 3, 1, 2)


class Path(nn.Module):
    """linear(LSTM(norm(x))), over frequencies (`index` 0) or over time (1); the shape stays."""

    def __init__(self, state: State, index: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.over_time, self.channels, self.hidden = index == 1, channels, hidden
        lstm_state, linear, norm = (state.at(f"{name}_layers", index) for name in ("lstm", "linear", "norm"))
        self.norm = WholeNorm(norm("weight", channels), norm("bias", channels), EPS)

        def both(kind: str, *shape: int) -> Tensor:
            names = (f"{kind}_{direction}" for direction in ("l0", "l0_reverse"))
            return torch.stack([in_onnx_order(lstm_state(name, *shape)) for name in names])

        self.weight = nn.Parameter(both("weight_ih", 4 * hidden, channels))
        self.recurrence = nn.Parameter(both("weight_hh", 4 * hidden, hidden))
        biases = [both(kind, 4 * hidden) for kind in ("bias_ih", "bias_hh")]
        self.bias = nn.Parameter(torch.cat(biases, dim=1))
        self.linear = Linear(linear("weight", channels, 2 * hidden), linear("bias", channels))

    def forward(self, x: Tensor) -> Tensor:
        frequencies, time = int(x.shape[1]), int(x.shape[2])
        y: Tensor = self.norm(x.reshape(-1, frequencies * time, self.channels))
        y = y.reshape(-1, frequencies, time, self.channels)
        y = y.permute(2, 0, 1, 3) if self.over_time else y.permute(1, 0, 2, 3)
        steps, others = (time, frequencies) if self.over_time else (frequencies, time)
        y = lstm(y.reshape(steps, -1, self.channels), self.weight, self.recurrence, self.bias)
        y = y.permute(0, 2, 1, 3).reshape(steps, -1, 2 * self.hidden)  # both directions side by side
        y = self.linear(y).reshape(steps, -1, others, self.channels)
        return y.permute(1, 2, 0, 3) if self.over_time else y.permute(1, 0, 2, 3)


class DualPath(nn.Module):
    """x + the path over frequencies, then + the path over time."""

    def __init__(self, state: State, channels: int, expand: int) -> None:
        super().__init__()
        hidden = channels * expand
        self.over_frequencies, self.over_time = (Path(state, index, channels, hidden) for index in (0, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.over_frequencies(x)
        both: Tensor = x + self.over_time(x)
        return both


class TimeTransform(nn.Module):
    """`torch.fft.rfft` over an even number of time frames and back, `norm="ortho"`, as matrix products.

    The real parts are the first half of the channels of the transform, the imaginary parts the second.
    """

    analysis: Tensor
    synthesis: Tensor

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.bins = bins = frames // 2 + 1
        phase = torch.outer(torch.arange(bins), torch.arange(frames)) % frames
        angle = phase.double() * (2 * math.pi / frames)
        table = torch.cat([torch.cos(angle), -torch.sin(angle)]) / math.sqrt(frames)  # (part, bin), frame
        weight = torch.full((bins,), 2.0)  # all bins but the first and the last stand for two
        weight[[0, -1]] = 1
        self.register_buffer("analysis", table.float())
        self.register_buffer("synthesis", (table * weight.repeat(2)[:, None]).t().float().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, frequencies, frames, channels) -> (batch, frequencies, bins, 2 channels)."""
        frequencies, channels = int(x.shape[1]), int(x.shape[3])
        y = torch.matmul(self.analysis, x).reshape(-1, frequencies, 2, self.bins, channels)
        return y.permute(0, 1, 3, 2, 4).reshape(-1, frequencies, self.bins, 2 * channels)

    def inverse(self, x: Tensor) -> Tensor:
        """(batch, frequencies, bins, 2 channels) -> (batch, frequencies, frames, channels)."""
        frequencies, channels = int(x.shape[1]), int(x.shape[3]) // 2
        y = x.reshape(-1, frequencies, self.bins, 2, channels).permute(0, 1, 3, 2, 4)
        return torch.matmul(self.synthesis, y.reshape(-1, frequencies, 2 * self.bins, channels))


class SeparationNet(nn.Module):
    """(batch, channels, frequencies, time) -> the same shape; an even number of layers."""

    def __init__(self, state: State, channels: int, frames: int, layers: int, expand: int) -> None:
        super().__init__()
        self.transform = TimeTransform(frames)
        self.layers = nn.ModuleList(
            DualPath(state.at("dp_modules", index), channels * (1 + index % 2), expand)
            for index in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        for index, layer in enumerate(self.layers):
            x = layer(x)
            x = self.transform.inverse(x) if index % 2 else self.transform(x)
        return x.permute(0, 3, 1, 2)


def in_onnx_order(weight: Tensor) -> Tensor:
    """The four gates of an LSTM's weight, (4 hidden, ...), in the order of ONNX."""
    gates = weight.chunk(4)
    return torch.cat([gates[index] for index in GATES])
