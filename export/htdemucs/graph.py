"""A demucs model and the rows of its output to keep -> an ONNX graph.

    mix (batch, 2, segment) -> stem (batch, 2, segment) for one row, stems (batch, rows, 2, segment) else

`HTDemucsModule` is HTDemucs.forward (demucs/htdemucs.py) for these rows, built from copies of the model's
weights. Attributes of the modules are names in the ONNX file: renaming one changes the file's bytes.
"""

from collections.abc import Sequence

import torch
from demucs.htdemucs import HTDemucs
from torch import Tensor, nn

from export.fourier import BINS, Spectrogram, Waveform, frames_of
from export.fp16 import to_half_precision
from export.htdemucs.layers import Decoder, DemucsModule, Encoder
from export.htdemucs.transformer import Transformer
from export.int8 import quantize
from export.layers import mean, variance
from export.onnx_file import to_bytes, to_graph
from separation.contract import CHANNELS

PARTS = 2  # real and imaginary


def segment_of(model: HTDemucs) -> int:
    """Samples that the model takes, computed as HTDemucs.forward does: 343,980 for htdemucs."""
    source: DemucsModule = model
    return int(source.segment * source.samplerate)


def time_lengths(segment: int, depth: int) -> list[int]:
    """Samples before each of the `depth` encoders of the time branch, and after the last one.

    343980, 85995, 21499, 5375, 1344 for htdemucs: each encoder has a stride of 4 and rounds up.
    """
    lengths = [segment]
    for _ in range(depth):
        lengths.append(-(-lengths[-1] // 4))
    return lengths


class HTDemucsModule(nn.Module):
    """mix (batch, 2, segment) -> the rows `rows` of `model`'s output, (batch, rows, 2, segment).

    A single row comes without its axis: (batch, 2, segment). `precision` is fp32, int8 (the transformer's
    linear layers in 8 bits) or fp16 (the module itself stays float32; `to_onnx` rewrites its graph).
    """

    def __init__(self, model: HTDemucs, rows: Sequence[int], precision: str = "fp32") -> None:
        super().__init__()
        self.rows, self.precision = len(rows), precision
        source: DemucsModule = model
        depth = len(source.encoder)
        self.segment = segment_of(model)
        self.frames = frames_of(self.segment)
        self.spectrogram, self.waveform = Spectrogram(self.segment), Waveform(self.segment)
        lengths = time_lengths(self.segment, depth)
        self.encoders = nn.ModuleList(Encoder(layer, self.frames) for layer in source.encoder)
        self.encoders_t = nn.ModuleList(map(Encoder, source.tencoder, lengths))
        self.frequency_embedding: Tensor | None = None
        if source.freq_emb is not None:
            embedding = source.freq_emb.embedding.weight.detach()
            self.frequency_embedding = nn.Parameter(embedding.t()[None, :, :, None].clone())
            self.frequency_scale: float = source.freq_emb.scale * source.freq_emb_scale
        self.transformer: Transformer | None = None
        if source.crosstransformer is not None:
            self.transformer = Transformer(source, BINS // 4**depth, self.frames, lengths[-1])
        if precision == "int8" and self.transformer is not None:
            # 127 of the 224 GFLOP outside attention. Not the four layers that lead into the transformer and
            # out of it: all that leaves it passes them, and with them in 8 bits the stem falls from 57 dB to
            # 39 (full size, hot random weights).
            quantize(self.transformer.layers)
            quantize(self.transformer.layers_t)

        def decoder(layer: DemucsModule, time: int, channels: int) -> Decoder:
            kept = [row * channels + channel for row in rows for channel in range(channels)]
            return Decoder(layer, time, kept if layer.last else None)

        self.decoders = nn.ModuleList(
            decoder(layer, self.frames, PARTS * CHANNELS) for layer in source.decoder
        )
        self.decoders_t = nn.ModuleList(
            decoder(layer, time, CHANNELS)
            for layer, time in zip(source.tdecoder, lengths[-2::-1], strict=True)
        )

    def forward(self, mix: Tensor) -> Tensor:
        bins = PARTS * CHANNELS * BINS * self.frames
        spectrogram, centre, spread = _level(self.spectrogram(mix), bins)
        wave, centre_t, spread_t = _level(mix.reshape(-1, CHANNELS, 1, self.segment), CHANNELS * self.segment)

        x, skips = spectrogram, []
        for index, encoder in enumerate(self.encoders):
            x = encoder(x)
            if index == 0 and self.frequency_embedding is not None:
                x = x + self.frequency_embedding * self.frequency_scale
            skips.append(x)
        xt, skips_t = wave, []
        for encoder in self.encoders_t:
            xt = encoder(xt)
            skips_t.append(xt)

        if self.transformer is not None:
            x, xt = self.transformer(x, xt)

        for decoder in self.decoders:
            x = decoder(x, skips.pop())
        for decoder in self.decoders_t:
            xt = decoder(xt, skips_t.pop())

        # Rows are folded into the batch: for the inverse transform they are more signals of the same length.
        from_spectrogram: Tensor = self.waveform(x * spread + centre)
        from_wave: Tensor = (xt * spread_t + centre_t).reshape(-1, CHANNELS, self.segment)
        stems = from_spectrogram + from_wave
        return stems if self.rows == 1 else stems.reshape(-1, self.rows, CHANNELS, self.segment)


def _level(x: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """x (batch, channels, frequencies, time) standardised per segment, then its mean and its deviation.

    `count` is the size of one segment, for the unbiased deviation that demucs divides by.
    """
    centre = mean(x, over_frequencies=True)
    centred = x - centre
    spread = torch.sqrt(variance(centred, over_frequencies=True) * (count / (count - 1)))
    return centred / (1e-5 + spread), centre, spread


def to_onnx(module: HTDemucsModule) -> bytes:
    """The ONNX file in the module's precision; its batch axis is free."""
    model = to_graph(module, (CHANNELS, module.segment), module.rows)
    if module.precision == "fp16":
        to_half_precision(model.graph)
    return to_bytes(model)
