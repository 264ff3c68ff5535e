"""The weights of a RoFormer and the rows of its output to keep -> an ONNX graph.

    mix (batch, 2, segment) -> stem (batch, 2, segment) for one row, stems (batch, rows, 2, segment) else

`RoformerModule` is the forward pass of MSST's `MelBandRoformer` and `BSRoformer` (msst/models/bs_roformer/,
0.1.0) for these rows, built from copies of the weights. Attributes of the modules are names in the ONNX file:
renaming one changes its bytes.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from export.fp16 import to_half_precision
from export.layers import Linear, complex_product
from export.msst.state import State
from export.onnx_file import to_bytes, to_graph
from export.roformer.bands import Bands, BinMean
from export.roformer.layers import RMSNorm, Transformer, rotary_tables
from export.roformer.sizes import Sizes
from export.stft import InverseStft, Stft
from separation.contract import CHANNELS

PARTS = 2 * CHANNELS  # numbers of a bin: real and imaginary part of each channel


class RoformerModule(nn.Module):
    """mix (batch, 2, segment) -> the rows `rows` of the network's output, (batch, rows, 2, segment).

    A single row comes without its axis. `precision` is fp32 or fp16 (the module itself stays float32;
    `to_onnx` rewrites its graph). Raises `ModelError` for weights of another network. Buffer names are names
    in the ONNX file.
    """

    time_cos: Tensor
    time_sin: Tensor
    band_cos: Tensor
    band_sin: Tensor

    def __init__(
        self, state: State, sizes: Sizes, segment: int, rows: Sequence[int], precision: str = "fp32"
    ) -> None:
        super().__init__()
        self.rows, self.segment, self.precision, self.dim = len(rows), segment, precision, sizes.dim
        framing, bands = sizes.framing, sizes.bands
        self.frames, self.bins, self.bands = framing.frames(segment), framing.bins, len(bands)
        self.spectrogram = Stft(framing, segment, CHANNELS, short_sums=True)
        self.waveform = InverseStft(framing, self.frames, segment, dc=not sizes.zero_dc)
        self.band_split = BandSplit(state.at("band_split"), sizes.dim, bands)
        layers = [state.at("layers", index) for index in range(sizes.depth)]
        over_time = [Transformer(each.at(0), sizes, sizes.time_transformer_depth) for each in layers]
        over_bands = [Transformer(each.at(1), sizes, sizes.freq_transformer_depth) for each in layers]
        self.over_time, self.over_bands = nn.ModuleList(over_time), nn.ModuleList(over_bands)
        for name, transformers, tokens in (
            ("time", over_time, self.frames),
            ("band", over_bands, self.bands),
        ):
            for table, values in zip(
                ("cos", "sin"), rotary_tables(transformers[-1].freqs, tokens), strict=True
            ):
                self.register_buffer(f"{name}_{table}", values)
        self.skip_connection = sizes.skip_connection
        self.norm = RMSNorm(state.at("final_norm")("gamma", sizes.dim)) if sizes.final_norm else nn.Identity()
        estimators: dict[int, Masks] = {}
        for row in range(
            sizes.num_stems
        ):  # every row's weights are checked, and one row's more are in memory
            masks = Masks(state.at("mask_estimators", row), sizes)
            if row in rows:
                estimators[row] = masks
        state.check_all_taken()
        self.masks = nn.ModuleList(estimators[row] for row in rows)
        overlapping = sum(map(len, bands)) > self.bins
        self.bin_mean = BinMean(bands, self.frames) if overlapping else nn.Identity()

    def forward(self, mix: Tensor) -> Tensor:
        spectrogram = self.spectrogram(mix)
        x: Tensor = self.band_split(spectrogram)
        saved: list[Tensor] = []
        for over_time, over_bands in zip(self.over_time, self.over_bands, strict=True):
            for before in saved:
                x = x + before
            x = x.permute(0, 2, 1, 3).reshape(-1, self.frames, self.dim)
            x = over_time(x, self.time_cos, self.time_sin)
            x = x.reshape(-1, self.bands, self.frames, self.dim).permute(0, 2, 1, 3)
            x = over_bands(x.reshape(-1, self.bands, self.dim), self.band_cos, self.band_sin)
            x = x.reshape(-1, self.frames, self.bands, self.dim)
            if self.skip_connection:
                saved.append(x)
        x = self.norm(x)
        masks = torch.cat([self.bin_mean(estimator(x)) for estimator in self.masks], dim=1)
        masks = masks.reshape(-1, self.rows, CHANNELS, 2, self.bins * self.frames)
        mixes = spectrogram.reshape(-1, 1, CHANNELS, 2, self.bins * self.frames)
        masked = complex_product(mixes, masks)
        stems: Tensor = self.waveform(masked.reshape(-1, self.rows * PARTS, self.bins, self.frames))
        shape = (-1, CHANNELS, self.segment) if self.rows == 1 else (-1, self.rows, CHANNELS, self.segment)
        return stems.reshape(shape)


class BandSplit(nn.Module):
    """A spectrogram (batch, 4, bins, frames) -> features of its bands, (batch, frames, bands, dim).

    A band's numbers are those of its bins in order, of each bin both channels, of each both parts.
    """

    bins: Tensor

    def __init__(self, state: State, dim: int, bands: Bands) -> None:
        super().__init__()
        self.counts = [len(band) for band in bands]
        self.all_bins = sum(self.counts)
        bins = [bin_ for band in bands for bin_ in band]
        self.in_order = bins == [*range(len(bins))]
        if not self.in_order:
            self.register_buffer("bins", torch.tensor(bins))
        self.norms, self.linears = nn.ModuleList(), nn.ModuleList()
        for index, count in enumerate(self.counts):
            norm, linear = (state.at("to_features", index, part) for part in (0, 1))
            self.norms.append(RMSNorm(norm("gamma", PARTS * count)))
            self.linears.append(Linear(linear("weight", dim, PARTS * count), linear("bias", dim)))

    def forward(self, spectrogram: Tensor) -> Tensor:
        frames, begin, features = int(spectrogram.shape[3]), 0, []
        x = spectrogram if self.in_order else torch.index_select(spectrogram, 2, self.bins)
        x = x.permute(0, 3, 2, 1).reshape(-1, frames, PARTS * self.all_bins)
        for count, norm, linear in zip(self.counts, self.norms, self.linears, strict=True):
            own = x[:, :, PARTS * begin : PARTS * (begin + count)]
            features.append(linear(norm(own)).unsqueeze(2))
            begin += count
        return torch.cat(features, dim=2)


class BandMask(nn.Module):
    """One row's mask of one band: (batch, frames, dim) -> (batch, frames, `outputs`). Linear layers with tanh
    between them, then GLU."""

    def __init__(self, state: State, sizes: Sizes, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs
        widths = [sizes.dim, *[sizes.dim * sizes.mlp_expansion_factor] * sizes.hidden_layers, 2 * outputs]
        parts = [state.at(2 * place) for place in range(len(widths) - 1)]
        self.layers = nn.ModuleList(
            Linear(part("weight", after, before), part("bias", after))
            for part, (before, after) in zip(parts, pairwise(widths), strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        for place, layer in enumerate(self.layers):
            x = layer(torch.tanh(x) if place else x)
        return x[:, :, : self.outputs] * torch.sigmoid(x[:, :, self.outputs :])


class Masks(nn.Module):
    """One row's masks of all bands, one band after the other: (batch, frames, bands, dim) -> (batch, 4,
    bins of all bands, frames)."""

    def __init__(self, state: State, sizes: Sizes) -> None:
        super().__init__()
        counts = [len(band) for band in sizes.bands]
        self.all_bins = sum(counts)
        self.bands = nn.ModuleList(
            BandMask(state.at("to_freqs", index, 0), sizes, PARTS * count)
            for index, count in enumerate(counts)
        )

    def forward(self, x: Tensor) -> Tensor:
        frames = int(x.shape[1])
        masks = torch.cat([band(x[:, :, index]) for index, band in enumerate(self.bands)], dim=2)
        return masks.reshape(-1, frames, self.all_bins, PARTS).permute(0, 3, 2, 1)


def to_onnx(module: RoformerModule) -> bytes:
    """The ONNX file in the module's precision; its batch axis is free."""
    model = to_graph(module, (CHANNELS, module.segment), module.rows)
    if module.precision == "fp16":
        to_half_precision(model.graph)
    return to_bytes(model)
