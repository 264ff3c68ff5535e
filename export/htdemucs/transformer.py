"""HTDemucs's cross-domain transformer over tokens (batch, tokens, channels), attention as one operation.

Tokens keep the memory order of the tensor they come from (frequency, then time), where demucs takes time
first: attention does not depend on the order, and the positions are permuted along.

Source: demucs/transformer.py.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.htdemucs.layers import DemucsModule
from export.layers import Linear, WholeNorm
from export.operations import attention, expand


class Norm(nn.Module):
    """LayerNorm over the channels of each token, (batch, tokens, channels) -> the same shape."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.gain = nn.Parameter(norm.weight.detach())
        self.offset = nn.Parameter(norm.bias.detach())
        self.eps = norm.eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.gain.shape, self.gain, self.offset, self.eps)


def norm_of(norm: nn.Module) -> nn.Module:
    """The norm that computes demucs's: over the channels of a token, over all tokens, or none."""
    if isinstance(norm, nn.LayerNorm):
        return Norm(norm)
    if isinstance(norm, nn.GroupNorm):  # demucs's `MyGroupNorm` with one group
        return WholeNorm(norm.weight.detach(), norm.bias.detach(), norm.eps)
    return nn.Identity()


class TransformerLayer(nn.Module):
    """Attention to the branch's own tokens, or to the other branch's, then the feed-forward part.

    x (batch, tokens, channels), other (batch, its tokens, channels) -> the shape of x. `layer` is a
    MyTransformerEncoderLayer or a CrossTransformerEncoderLayer of demucs; the second one attends to `other`.
    """

    def __init__(self, layer: DemucsModule) -> None:
        super().__init__()
        self.cross = hasattr(layer, "cross_attn")
        source = layer.cross_attn if self.cross else layer.self_attn
        self.heads: int = source.num_heads
        self.query_norm = norm_of(layer.norm1)
        self.key_norm = norm_of(layer.norm2) if self.cross else None
        self.norm = norm_of(layer.norm3 if self.cross else layer.norm2)
        weights, biases = source.in_proj_weight.chunk(3), source.in_proj_bias.chunk(3)
        self.query, self.key, self.value = map(Linear, weights, biases)
        scales = [getattr(gamma, "scale", None) for gamma in (layer.gamma_1, layer.gamma_2)]
        self.out = Linear(source.out_proj.weight, source.out_proj.bias, scales[0])
        self.widen = Linear(layer.linear1.weight, layer.linear1.bias)
        self.narrow = Linear(layer.linear2.weight, layer.linear2.bias, scales[1])
        self.activation = layer.activation  # a function of torch.nn.functional
        self.norm_out = norm_of(layer.norm_out)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        query = self.query_norm(x)
        key = query if self.key_norm is None else self.key_norm(other)
        attended = attention(self.query(query), self.key(key), self.value(key), self.heads)
        x = x + self.out(attended)
        x = x + self.narrow(self.activation(self.widen(self.norm(x))))
        normed: Tensor = self.norm_out(x)
        return normed


class Transformer(nn.Module):
    """Both branches through all layers: shapes stay as they are.

    x (batch, channels, frequencies, time) is the frequency branch, xt (batch, channels, 1, time_t) the time
    branch. With `bottom_channels` the layers stand between 1x1 convolutions (`channel_upsampler` and the
    three like it in demucs/htdemucs.py), which act on tokens here. Buffer names are names in the ONNX file.
    """

    by_time: Tensor
    by_row: Tensor
    position: Tensor
    period: Tensor

    def __init__(self, model: DemucsModule, frequencies: int, time: int, time_t: int) -> None:
        super().__init__()
        source = model.crosstransformer
        self.frequencies, self.time, self.time_t = frequencies, time, time_t
        self.up, self.up_t = (_pointwise(model, f"channel_upsampler{t}") for t in ("", "_t"))
        self.down, self.down_t = (_pointwise(model, f"channel_downsampler{t}") for t in ("", "_t"))
        self.norm_in, self.norm_in_t = norm_of(source.norm_in), norm_of(source.norm_in_t)
        self.layers = nn.ModuleList(TransformerLayer(layer) for layer in source.layers)
        self.layers_t = nn.ModuleList(TransformerLayer(layer) for layer in source.layers_t)
        self.channels = int(model.encoder[-1].conv.weight.shape[0])
        self._add_positions(source, int(model.bottom_channels or self.channels))

    def _add_positions(self, source: DemucsModule, channels: int) -> None:
        """The tables behind `create_2d_sin_embedding` and `create_sin_embedding` of demucs.

        The first half of the channels of a frequency token depends on its time alone, the second on its
        frequency alone. The time branch's table is its phases; the graph takes their cosine and sine when it
        loads.
        """
        self.half_channels = half = channels // 2
        steps = torch.exp(torch.arange(0.0, half, 2) * -(math.log(source.max_period) / half))

        def interleaved(length: int) -> Tensor:
            phase = torch.arange(0.0, length)[:, None] * steps
            waves = torch.stack([torch.sin(phase), torch.cos(phase)], dim=-1).flatten(1)
            scaled: Tensor = waves * source.weight_pos_embed
            return scaled

        self.register_buffer("by_time", interleaved(self.time)[None])  # (1, time, half)
        self.register_buffer("by_row", interleaved(self.frequencies)[:, None])  # (frequencies, 1, half)
        self.register_buffer("position", torch.arange(self.time_t)[:, None].float())
        self.register_buffer("period", source.max_period ** (torch.arange(half) / (half - 1))[None])
        self.weight_pos_embed: float = source.weight_pos_embed

    def forward(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        tokens = x.reshape(-1, self.channels, self.frequencies * self.time).transpose(1, 2)
        tokens_t = xt.reshape(-1, self.channels, self.time_t).transpose(1, 2)
        by_time = expand(self.by_time, self.frequencies, self.time, self.half_channels)
        by_row = expand(self.by_row, self.frequencies, self.time, self.half_channels)
        positions = torch.cat([by_time, by_row], dim=2).reshape(
            self.frequencies * self.time, 2 * self.half_channels
        )
        phase = self.position / self.period
        positions_t = torch.cat([torch.cos(phase), torch.sin(phase)], dim=1) * self.weight_pos_embed
        tokens = self.norm_in(self.up(tokens)) + positions
        tokens_t = self.norm_in_t(self.up_t(tokens_t)) + positions_t
        for layer, layer_t in zip(self.layers, self.layers_t, strict=True):
            tokens, tokens_t = layer(tokens, tokens_t), layer_t(tokens_t, tokens)
        x = self.down(tokens).transpose(1, 2).reshape(-1, self.channels, self.frequencies, self.time)
        xt = self.down_t(tokens_t).transpose(1, 2).reshape(-1, self.channels, 1, self.time_t)
        return x, xt


def _pointwise(model: DemucsModule, name: str) -> nn.Module:
    """A 1x1 convolution as a linear layer over tokens; nothing where `bottom_channels` is 0."""
    conv = getattr(model, name, None)
    return nn.Identity() if conv is None else Linear(conv.weight[:, :, 0], conv.bias)
