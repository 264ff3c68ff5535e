"""A linear layer over tokens, in float32: what `export.int8` replaces where a graph multiplies in 8 bits."""

import torch
from torch import Tensor, nn


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
