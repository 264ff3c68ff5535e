"""A demucs model and the row of its output to keep -> an ONNX specialist.

    mix (batch, 2, SEGMENT) -> stem (batch, 2, SEGMENT)

`SpecialistModule` is HTDemucs.forward (demucs/htdemucs.py) for one row, built from copies of the model's
weights. Attributes of the modules are names in the ONNX file: renaming one changes the file's bytes.
"""

import torch
from demucs.htdemucs import HTDemucs
from torch import Tensor, nn

from export.fourier import BINS, FRAMES, Spectrogram, Waveform
from export.fp16 import to_half_precision
from export.htdemucs.layers import Decoder, DemucsModule, Encoder, mean, variance
from export.htdemucs.transformer import Transformer
from export.int8 import quantize
from export.onnx_file import to_bytes, to_graph
from separation.contract import CHANNELS, SEGMENT

PARTS = 2  # real and imaginary


def time_lengths(depth: int) -> list[int]:
    """Samples before each of the `depth` encoders of the time branch, and after the last one.

    343980, 85995, 21499, 5375, 1344 for a depth of 4: each encoder has a stride of 4 and rounds up.
    """
    lengths = [SEGMENT]
    for _ in range(depth):
        lengths.append(-(-lengths[-1] // 4))
    return lengths


class SpecialistModule(nn.Module):
    """mix (batch, 2, SEGMENT) -> row `row` of `model`'s output, (batch, 2, SEGMENT).

    `precision` is fp32, int8 (the transformer's linear layers in 8 bits) or fp16 (the module itself stays
    float32; `to_onnx` rewrites its graph).
    """

    def __init__(self, model: HTDemucs, row: int, precision: str = "fp32") -> None:
        super().__init__()
        self.precision = precision
        source: DemucsModule = model
        depth = len(source.encoder)
        self.spectrogram, self.waveform = Spectrogram(), Waveform()
        lengths = time_lengths(depth)
        self.encoders = nn.ModuleList(Encoder(layer, FRAMES) for layer in source.encoder)
        self.encoders_t = nn.ModuleList(map(Encoder, source.tencoder, lengths))
        embedding = source.freq_emb.embedding.weight.detach()
        self.frequency_embedding = nn.Parameter(embedding.t()[None, :, :, None].clone())
        self.frequency_scale: float = source.freq_emb.scale * source.freq_emb_scale
        self.transformer = Transformer(source, BINS // 4**depth, FRAMES, lengths[-1])
        if precision == "int8":
            # 127 of the 224 GFLOP outside attention. Not the four layers that lead into the transformer and
            # out of it: all that leaves it passes them, and with them in 8 bits the stem falls from 57 dB to
            # 39 (full size, hot random weights).
            quantize(self.transformer.layers)
            quantize(self.transformer.layers_t)

        def decoder(layer: DemucsModule, time: int, channels: int) -> Decoder:
            kept = slice(row * channels, (row + 1) * channels) if layer.last else slice(None)
            return Decoder(layer, time, kept)

        self.decoders = nn.ModuleList(decoder(layer, FRAMES, PARTS * CHANNELS) for layer in source.decoder)
        self.decoders_t = nn.ModuleList(
            decoder(layer, time, CHANNELS)
            for layer, time in zip(source.tdecoder, lengths[-2::-1], strict=True)
        )

    def forward(self, mix: Tensor) -> Tensor:
        spectrogram, centre, spread = _level(self.spectrogram(mix), PARTS * CHANNELS * BINS * FRAMES)
        wave, centre_t, spread_t = _level(mix.reshape(-1, CHANNELS, 1, SEGMENT), CHANNELS * SEGMENT)

        x, skips = spectrogram, []
        for index, encoder in enumerate(self.encoders):
            x = encoder(x)
            if index == 0:
                x = x + self.frequency_embedding * self.frequency_scale
            skips.append(x)
        xt, skips_t = wave, []
        for encoder in self.encoders_t:
            xt = encoder(xt)
            skips_t.append(xt)

        x, xt = self.transformer(x, xt)

        for decoder in self.decoders:
            x = decoder(x, skips.pop())
        for decoder in self.decoders_t:
            xt = decoder(xt, skips_t.pop())

        from_spectrogram: Tensor = self.waveform(x * spread + centre)
        from_wave: Tensor = (xt * spread_t + centre_t).reshape(-1, CHANNELS, SEGMENT)
        return from_spectrogram + from_wave


def _level(x: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """x (batch, channels, frequencies, time) standardised per segment, then its mean and its deviation.

    `count` is the size of one segment, for the unbiased deviation that demucs divides by.
    """
    centre = mean(x, over_frequencies=True)
    centred = x - centre
    spread = torch.sqrt(variance(centred, over_frequencies=True) * (count / (count - 1)))
    return centred / (1e-5 + spread), centre, spread


def to_onnx(module: SpecialistModule) -> bytes:
    """The specialist's ONNX file in the module's precision; its batch axis is free."""
    model = to_graph(module, (CHANNELS, SEGMENT))
    if module.precision == "fp16":
        to_half_precision(model.graph)
    return to_bytes(model)
