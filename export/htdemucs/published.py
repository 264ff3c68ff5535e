"""The published way to export HTDemucs, rebuilt to be measured beside ours (export/htdemucs/bench.py).

STFT and iSTFT as convolutions with kernels of 4096 samples, all rows of the output, demucs's own layers with
the operations that the exporter gives them, attention as two products around a softmax, float32 on disk.
"""

import io
import math
import warnings

import torch
from demucs.htdemucs import HTDemucs
from demucs.transformer import create_2d_sin_embedding, create_sin_embedding
from torch import Tensor, nn
from torch.nn import functional as F

from export.fourier import BINS, FFT, HOP, MARGIN, frames_of
from export.htdemucs.graph import segment_of, time_lengths
from export.htdemucs.layers import DemucsModule
from export.onnx_file import OPSET
from separation.contract import CHANNELS


class PublishedModule(nn.Module):
    """mix (1, 2, segment) -> all stems (1, rows, 2, segment)."""

    basis: Tensor
    inverse: Tensor
    positions: Tensor
    positions_t: Tensor

    def __init__(self, model: HTDemucs) -> None:
        super().__init__()
        self.model: DemucsModule = model
        self.segment = segment_of(model)
        self.frames = frames_of(self.segment)
        self.lengths = time_lengths(self.segment, len(model.encoder))
        phase = torch.outer(torch.arange(BINS), torch.arange(FFT)) % FFT * (2 * math.pi / FFT)
        window = torch.hann_window(FFT)
        basis = torch.cat([torch.cos(phase), -torch.sin(phase)]) * (window / math.sqrt(FFT))
        self.register_buffer("basis", basis[:, None])
        twice = torch.full((2 * BINS, 1), 2 / 1.5)
        twice[0] /= 2
        self.register_buffer("inverse", (basis * twice)[:, None])
        channels = model.channel_upsampler.weight.shape[0]
        positions = create_2d_sin_embedding(channels, BINS // 4 ** len(model.encoder), self.frames)
        self.register_buffer("positions", positions.permute(0, 3, 2, 1).reshape(1, -1, channels))
        self.register_buffer("positions_t", create_sin_embedding(self.lengths[-1], channels).permute(1, 0, 2))

    def forward(self, mix: Tensor) -> Tensor:
        model, rows = self.model, len(self.model.sources)
        padded = F.pad(mix, (MARGIN, MARGIN + self.frames * HOP - self.segment), mode="reflect")
        bins = F.conv1d(padded.reshape(CHANNELS, 1, -1), self.basis, stride=HOP)
        x = bins.reshape(1, 2 * CHANNELS, BINS, self.frames)
        mean, std = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True)
        mean_t, std_t = mix.mean((1, 2), keepdim=True), mix.std((1, 2), keepdim=True)
        x, xt = (x - mean) / (1e-5 + std), (mix - mean_t) / (1e-5 + std_t)
        skips, skips_t = [], []
        for index, (encoder, encoder_t) in enumerate(zip(model.encoder, model.tencoder, strict=True)):
            x, xt = encoder(x), encoder_t(xt)
            if index == 0:
                x = x + model.freq_emb_scale * model.freq_emb.weight.t()[None, :, :, None]
            skips.append(x)
            skips_t.append(xt)
        x, xt = self._transform(x, xt)
        for decoder, decoder_t, length in zip(
            model.decoder, model.tdecoder, self.lengths[-2::-1], strict=True
        ):
            x, _ = decoder(x, skips.pop(), self.frames)
            xt, _ = decoder_t(xt, skips_t.pop(), length)
        x = x.reshape(1, rows, -1, BINS, self.frames) * std[:, None] + mean[:, None]
        x = x.reshape(rows * CHANNELS, 2 * BINS, self.frames)
        wave = F.conv_transpose1d(x, self.inverse, stride=HOP)[..., MARGIN : MARGIN + self.segment]
        xt = xt.reshape(1, rows, CHANNELS, self.segment) * std_t[:, None] + mean_t[:, None]
        return wave.reshape(1, rows, CHANNELS, self.segment) + xt

    def _transform(self, x: Tensor, xt: Tensor) -> tuple[Tensor, Tensor]:
        model, source = self.model, self.model.crosstransformer
        height = BINS // 4 ** len(model.encoder)
        x = model.channel_upsampler(x.flatten(2)).reshape(1, -1, height, self.frames)
        x = source.norm_in(x.permute(0, 3, 2, 1).flatten(1, 2)) + self.positions
        xt = source.norm_in_t(model.channel_upsampler_t(xt).transpose(1, 2)) + self.positions_t
        for index, (layer, layer_t) in enumerate(zip(source.layers, source.layers_t, strict=True)):
            crossed = index % 2 != source.classic_parity
            x, xt = (layer(x, xt), layer_t(xt, x)) if crossed else (layer(x), layer_t(xt))
        x = x.reshape(1, self.frames, height, -1).permute(0, 3, 2, 1)
        x = model.channel_downsampler(x.flatten(2)).reshape(1, -1, height, self.frames)
        return x, model.channel_downsampler_t(xt.transpose(1, 2))


def to_onnx(model: HTDemucs) -> bytes:
    """An ONNX file for one segment at a time, with all rows in its output `stems`."""
    file = io.BytesIO()
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it is one C++ call that the exporter does not know
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                PublishedModule(model).eval(), (torch.zeros(1, CHANNELS, segment_of(model)),),
                file,  # type: ignore[arg-type]  # it writes to open files too
                dynamo=False, opset_version=OPSET, input_names=["mix"], output_names=["stems"],
            )  # fmt: skip
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return file.getvalue()
