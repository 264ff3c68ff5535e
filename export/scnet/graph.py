"""The weights of an SCNet and the rows of its output to keep -> an ONNX graph.

    mix (batch, 2, segment) -> stem (batch, 2, segment) for one row, stems (batch, rows, 2, segment) else

`SCNetModule` is SCNet.forward of msst/models/scnet/scnet.py (0.1.0) for these rows, or that of
scnet_masked.py, built from copies of the weights. Attributes of the modules are names in the ONNX file:
renaming one changes its bytes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from export.fp16 import to_half_precision
from export.layers import complex_product
from export.msst.state import State
from export.onnx_file import to_bytes, to_graph
from export.operations import pad_time
from export.scnet.dual_path import SeparationNet
from export.scnet.layers import Decoder, Encoder
from export.scnet.sizes import PARTS, Sizes
from export.stft import InverseStft, Stft
from separation.contract import CHANNELS

MASK_CHANNELS = 64  # of the masked variant's own layer


class SCNetModule(nn.Module):
    """mix (batch, 2, segment) -> the rows `rows` of the network's output, (batch, rows, 2, segment).

    A single row comes without its axis. `precision` is fp32 or fp16 (the module itself stays float32;
    `to_onnx` rewrites its graph). Raises `ModelError` for weights of another network.
    """

    def __init__(
        self,
        state: State,
        sizes: Sizes,
        segment: int,
        rows: Sequence[int],
        masked: bool,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        self.rows, self.segment, self.precision = len(rows), segment, precision
        framing, padded = sizes.framing(hann=masked), sizes.padded(segment)
        self.frames, self.padding = framing.frames(padded), padded - segment
        self.spectrogram = Stft(framing, padded, CHANNELS)
        self.waveform = InverseStft(framing, self.frames, segment)
        counts = sizes.frequencies()
        channels = [*zip(sizes.dims, sizes.dims[1:], strict=False)]
        bands = [sizes.bands(count) for count in counts[:-1]]
        self.encoders = nn.ModuleList(
            Encoder(state.at("encoder", index), each, bands[index], sizes)
            for index, each in enumerate(channels)
        )
        self.separation = SeparationNet(
            state.at("separation_net"), sizes.dims[-1], self.frames, sizes.num_dplayer, sizes.expand
        )
        per_row = PARTS * CHANNELS
        kept = [row * per_row + channel for row in rows for channel in range(per_row)]
        self.decoders = nn.ModuleList()
        for index, (outer, inner) in reversed([*enumerate(channels)]):
            parts, last = state.at("decoder", len(channels) - 1 - index), index == 0
            both = (inner, outer * sizes.rows if last else outer)
            outputs = kept if last and not masked else None
            self.decoders.append(Decoder(parts.at(0), parts.at(1), both, bands[index], outputs))
        self.mask = Mask(state, sizes, kept) if masked else None
        state.check_all_taken()

    def forward(self, mix: Tensor) -> Tensor:
        spectrogram = self.spectrogram(pad_time(mix, 0, self.padding))
        x = spectrogram if self.mask is None else spectrogram + self.mask.positions
        skips = []
        for encoder in self.encoders:
            x, skip = encoder(x)
            skips.append(skip)
        x = self.separation(x)
        for decoder in self.decoders:
            x = decoder(x, skips.pop())
        if self.mask is not None:
            x = self.mask(x, spectrogram)
        stems: Tensor = self.waveform(x)
        shape = (-1, CHANNELS, self.segment) if self.rows == 1 else (-1, self.rows, CHANNELS, self.segment)
        return stems.reshape(shape)


class Mask(nn.Module):
    """Of the masked variant: (batch, 4 sources, bins, frames) -> the mix's spectrogram times complex masks.

    `outputs` are the channels of the masks to keep. `positions` is what the encoder adds to the spectrogram.
    """

    def __init__(self, state: State, sizes: Sizes, outputs: list[int]) -> None:
        super().__init__()
        channels, layer = PARTS * CHANNELS * sizes.rows, state.at("mask_layer")
        self.rows = len(outputs) // (PARTS * CHANNELS)
        self.positions = nn.Parameter(state("pos_embed_f", 1, PARTS * CHANNELS, sizes.nfft // 2 + 1, 1))
        self.weight = nn.Parameter(layer.at(0)("weight", MASK_CHANNELS, channels, 3, 3))
        self.bias = nn.Parameter(layer.at(0)("bias", MASK_CHANNELS))
        self.out = nn.Parameter(layer.at(2)("weight", channels, MASK_CHANNELS, 1, 1)[outputs].clone())
        self.out_bias = nn.Parameter(layer.at(2)("bias", channels)[outputs].clone())

    def forward(self, x: Tensor, spectrogram: Tensor) -> Tensor:
        bins, frames = int(spectrogram.shape[2]), int(spectrogram.shape[3])
        y = F.gelu(F.conv2d(x, self.weight, self.bias, padding=(1, 1)))
        mask = torch.tanh(F.conv2d(y, self.out, self.out_bias)).reshape(
            -1, self.rows, CHANNELS, PARTS, bins * frames
        )
        mix = spectrogram.reshape(-1, 1, CHANNELS, PARTS, bins * frames)
        return complex_product(mix, mask).reshape(-1, PARTS * CHANNELS * self.rows, bins, frames)


def to_onnx(module: SCNetModule) -> bytes:
    """The ONNX file in the module's precision; its batch axis is free."""
    model = to_graph(module, (CHANNELS, module.segment), module.rows, microsoft=False)
    if module.precision == "fp16":
        to_half_precision(model.graph)
    return to_bytes(model)
