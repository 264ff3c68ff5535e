"""HTDemucs's cross-domain transformer over tokens (batch, tokens, channels), attention as one operation.

Tokens keep the memory order of the tensor they come from (frequency, then time), where demucs takes time
first: attention does not depend on the order, and the positions are permuted along.

Source: demucs/transformer.py.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.htdemucs.layers import mean_of_last
from export.operations import attention, expand, quantized_matmul


class Norm(nn.Module):
    """LayerNorm over the channels of each token."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.gain = nn.Parameter(norm.weight.detach())
        self.offset = nn.Parameter(norm.bias.detach())
        self.eps = norm.eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.gain.shape, self.gain, self.offset, self.eps)


class WholeNorm(nn.Module):
    """One norm over all tokens and channels of a segment: `MyGroupNorm` of one group."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.gain = nn.Parameter(norm.weight.detach())
        self.offset = nn.Parameter(norm.bias.detach())
        self.eps = norm.eps

    def forward(self, x: Tensor) -> Tensor:
        centred = x - self._mean(x)
        rstd = torch.rsqrt(self._mean(centred * centred) + self.eps)
        return centred * (rstd * self.gain) + self.offset

    @staticmethod
    def _mean(x: Tensor) -> Tensor:
        tokens = int(x.shape[1])
        return mean_of_last(x.mean(2).reshape(-1, 1, 1, tokens)).reshape(-1, 1, 1)


class Linear(nn.Module):
    """x W' + b, both times a scale for every output channel where the layer has a LayerScale."""

    def __init__(self, weight: Tensor, bias: Tensor, scale: Tensor | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach().clone())
        self.bias = nn.Parameter(bias.detach().clone())
        self.scale = None if scale is None else nn.Parameter(scale.detach())

    def quantize(self) -> None:
        """From here on multiply in 8 bits, each output's largest weight at 127."""
        weight, bias = self.weight.detach(), self.bias.detach()
        if self.scale is not None:
            weight, bias = weight * self.scale.detach()[:, None], bias * self.scale.detach()
        largest = weight.abs().amax(1).clamp(min=1e-12)
        self.register_buffer("quantized", torch.round(weight.t() / largest * 127).to(torch.int8))
        self.register_buffer("step", largest / 127)
        self.register_buffer("quantized_bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "quantized"):
            return quantized_matmul(x, self.quantized, self.step, self.quantized_bias)
        if self.scale is None:
            return torch.matmul(x, self.weight.t()) + self.bias
        return torch.matmul(x, (self.weight * self.scale[:, None]).t()) + self.bias * self.scale


class TransformerLayer(nn.Module):
    """Attention to the branch's own tokens, or to the other's (`cross`), then the feed-forward part."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.cross = hasattr(layer, "cross_attn")
        source = layer.cross_attn if self.cross else layer.self_attn
        self.heads = source.num_heads
        self.query_norm = Norm(layer.norm1)
        self.key_norm = Norm(layer.norm2) if self.cross else None
        self.norm = Norm(layer.norm3 if self.cross else layer.norm2)
        weights, biases = source.in_proj_weight.chunk(3), source.in_proj_bias.chunk(3)
        self.query, self.key, self.value = map(Linear, weights, biases)
        self.out = Linear(source.out_proj.weight, source.out_proj.bias, layer.gamma_1.scale)
        self.widen = Linear(layer.linear1.weight, layer.linear1.bias)
        self.narrow = Linear(layer.linear2.weight, layer.linear2.bias, layer.gamma_2.scale)
        self.norm_out = WholeNorm(layer.norm_out)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        query = self.query_norm(x)
        key = query if self.key_norm is None else self.key_norm(other)
        attended = attention(self.query(query), self.key(key), self.value(key), self.heads)
        x = x + self.out(attended)
        x = x + self.narrow(F.gelu(self.widen(self.norm(x))))
        return self.norm_out(x)


class Transformer(nn.Module):
    """Both branches (batch, channels, rows, time) through the layers and back, between two 1x1 convolutions.

    The convolutions (`channel_upsampler` and its kin in demucs/htdemucs.py) act on tokens here.
    """

    def __init__(self, model: nn.Module, rows: int, time: int, time_t: int) -> None:
        super().__init__()
        source = model.crosstransformer
        self.rows, self.time, self.time_t = rows, time, time_t
        convs = (model.channel_upsampler, model.channel_upsampler_t)
        self.up, self.up_t = (Linear(conv.weight[:, :, 0], conv.bias) for conv in convs)
        convs = (model.channel_downsampler, model.channel_downsampler_t)
        self.down, self.down_t = (Linear(conv.weight[:, :, 0], conv.bias) for conv in convs)
        self.norm_in, self.norm_in_t = Norm(source.norm_in), Norm(source.norm_in_t)
        self.layers = nn.ModuleList(TransformerLayer(layer) for layer in source.layers)
        self.layers_t = nn.ModuleList(TransformerLayer(layer) for layer in source.layers_t)
        self.channels = self.down.weight.shape[0]
        self._positions(source, self.up.weight.shape[0])

    def _positions(self, source: nn.Module, channels: int) -> None:
        """The tables behind `create_2d_sin_embedding` and `create_sin_embedding`.

        The first half of the channels of a frequency token depends on its time alone, the second on its row
        alone. The time branch's table is its phases; the graph takes their cosine and sine when it loads.
        """
        self.half = half = channels // 2
        steps = torch.exp(torch.arange(0.0, half, 2) * -(math.log(source.max_period) / half))

        def interleaved(length: int) -> Tensor:
            phase = torch.arange(0.0, length)[:, None] * steps
            return (
                torch.stack([torch.sin(phase), torch.cos(phase)], dim=-1).flatten(1) * source.weight_pos_embed
            )

        self.register_buffer("by_time", interleaved(self.time)[None])  # (1, time, half)
        self.register_buffer("by_row", interleaved(self.rows)[:, None])  # (rows, 1, half)
        self.register_buffer("position", torch.arange(self.time_t)[:, None].float())
        self.register_buffer("period", source.max_period ** (torch.arange(half) / (half - 1))[None])
        self.weight_pos_embed = source.weight_pos_embed

    def quantize(self) -> None:
        """The layers' products in 8 bits, 127 of the 224 GFLOP outside attention.

        Not the four that lead in and out: all that leaves the transformer passes them, and with them in 8
        bits the stem falls from 57 dB to 39 (full size, hot weights).
        """
        for module in [*self.layers.modules(), *self.layers_t.modules()]:
            if isinstance(module, Linear):
                module.quantize()

    def forward(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        tokens = x.reshape(-1, self.channels, self.rows * self.time).transpose(1, 2)
        tokens_t = xt.reshape(-1, self.channels, self.time_t).transpose(1, 2)
        by_time = expand(self.by_time, self.rows, self.time, self.half)
        by_row = expand(self.by_row, self.rows, self.time, self.half)
        places = torch.cat([by_time, by_row], dim=2).reshape(self.rows * self.time, 2 * self.half)
        phase = self.position / self.period
        places_t = torch.cat([torch.cos(phase), torch.sin(phase)], dim=1) * self.weight_pos_embed
        tokens = self.norm_in(self.up(tokens)) + places
        tokens_t = self.norm_in_t(self.up_t(tokens_t)) + places_t
        for layer, layer_t in zip(self.layers, self.layers_t, strict=True):
            tokens, tokens_t = layer(tokens, tokens_t), layer_t(tokens_t, tokens)
        x = self.down(tokens).transpose(1, 2).reshape(-1, self.channels, self.rows, self.time)
        xt = self.down_t(tokens_t).transpose(1, 2).reshape(-1, self.channels, 1, self.time_t)
        return x, xt
