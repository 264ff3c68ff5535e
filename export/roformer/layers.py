"""A RoFormer's transformers: tokens are (batch, tokens, channels), with rotary positions and gated heads.

Attributes of the modules are names in the ONNX file.

Source: msst/models/bs_roformer/ (0.1.0) and rotary_embedding_torch.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.layers import Linear
from export.msst.state import State
from export.operations import attention
from export.roformer.sizes import Sizes

EPS = 1e-12  # of F.normalize: the least length that a token is divided by


class RMSNorm(nn.Module):
    """A token over its root mean square, times `gain`: (..., channels) -> the same shape.

    MSST divides by the length, at least EPS, and multiplies by sqrt(channels). The same with EPS inside the
    root is what engines have one operation for; both differ only for tokens about as short as EPS.
    """

    def __init__(self, gain: Tensor) -> None:
        super().__init__()
        self.gain = nn.Parameter(gain)
        self.eps = EPS**2 / len(gain)

    def forward(self, x: Tensor) -> Tensor:
        return x / torch.sqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.gain


class Projection(nn.Module):
    """A linear layer without a bias: x W'. `weight` is (outputs, inputs)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())

    def forward(self, x: Tensor) -> Tensor:
        return torch.matmul(x, self.weight.t())


def rotary_tables(freqs: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
    """cos and sin of each token's angles for `Attention`, (tokens, 1, 2 len(freqs)) each.

    `freqs` are radians from token to token. In float64, because the angles grow with the token's place.
    """
    angle = torch.outer(torch.arange(tokens).double(), freqs.double())
    cos, sin = torch.cos(angle), torch.sin(angle)
    tables = torch.cat([cos, cos], 1), torch.cat([-sin, sin], 1)
    return tables[0].float()[:, None], tables[1].float()[:, None]


class Attention(nn.Module):
    """Gated attention of tokens to each other, from their norms.

    MSST turns pairs of neighbouring channels by a token's angles. Here the rows of both weights are ordered
    so that the first of all pairs of a head come before the second: products of queries with keys stay, and
    halves are turned in place of pairs.
    """

    def __init__(self, state: State, sizes: Sizes) -> None:
        super().__init__()
        self.heads, self.width = sizes.heads, sizes.dim_head
        self.inner = inner = sizes.heads * sizes.dim_head
        halves = torch.arange(inner).reshape(sizes.heads, -1, 2).transpose(1, 2).flatten()
        query, key, value = state.at("to_qkv")("weight", 3 * inner, sizes.dim).chunk(3)
        self.norm = RMSNorm(state.at("norm")("gamma", sizes.dim))
        self.query, self.key, self.value = (Projection(each) for each in (query[halves], key[halves], value))
        gates = state.at("to_gates")
        self.gates = Linear(gates("weight", sizes.heads, sizes.dim), gates("bias", sizes.heads))
        self.out = Projection(state.at("to_out", 0)("weight", sizes.dim, inner))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        y, tokens = self.norm(x), int(cos.shape[0])
        query, key = (self.turned(each, cos, sin) for each in (self.query(y), self.key(y)))
        found = attention(query, key, self.value(y), self.heads).reshape(-1, tokens, self.heads, self.width)
        gated = found * torch.sigmoid(self.gates(y)).unsqueeze(3)
        projected: Tensor = self.out(gated.reshape(-1, tokens, self.inner))
        return projected

    def turned(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(batch, tokens, inner) by the angles of the tables."""
        x = x.reshape(-1, int(cos.shape[0]), self.heads, self.width)
        half = self.width // 2
        swapped = torch.cat([x[..., half:], x[..., :half]], dim=3)
        return (x * cos + swapped * sin).reshape(-1, int(cos.shape[0]), self.inner)


class FeedForward(nn.Module):
    """narrow(GELU(widen(norm(x)))), four times as wide."""

    def __init__(self, state: State, dim: int) -> None:
        super().__init__()
        self.norm = RMSNorm(state.at(0)("gamma", dim))
        self.widen = Linear(state.at(1)("weight", 4 * dim, dim), state.at(1)("bias", 4 * dim))
        self.narrow = Linear(state.at(4)("weight", dim, 4 * dim), state.at(4)("bias", dim))

    def forward(self, x: Tensor) -> Tensor:
        narrowed: Tensor = self.narrow(F.gelu(self.widen(self.norm(x))))
        return narrowed


class Transformer(nn.Module):
    """`depth` times x + attention(x), + feed_forward(x); then a norm, if the class has one there."""

    def __init__(self, state: State, sizes: Sizes, depth: int) -> None:
        super().__init__()
        parts = [state.at("layers", index) for index in range(depth)]
        self.attentions = nn.ModuleList(Attention(part.at(0), sizes) for part in parts)
        self.feed_forwards = nn.ModuleList(FeedForward(part.at(1, "net"), sizes.dim) for part in parts)
        # The embedding is one module that all layers share, so the last one's is what MSST loads.
        (*_, self.freqs) = (part.at(0, "rotary_embed")("freqs", sizes.dim_head // 2) for part in parts)
        self.norm = RMSNorm(state.at("norm")("gamma", sizes.dim)) if sizes.norm_output else nn.Identity()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        for attend, feed_forward in zip(self.attentions, self.feed_forwards, strict=True):
            x = x + attend(x, cos, sin)
            x = x + feed_forward(x)
        normed: Tensor = self.norm(x)
        return normed
