"""The short-time Fourier transform and its inverse as batched matrix products, without complex tensors.

A frame has 4096 = 64 x 64 samples, so its transform is two stages of 64 points (Cooley and Tukey):

    sample  n = 64 n1 + n2        bin  k = k1 + 64 k2
    stage 1, for every n2:   Y[k1, n2] = sum over n1 of  x[n] window[n] e(64 n1 k1)
    stage 2, for every k1:   X[k]      = sum over n2 of  Y[k1, n2] e(n2 k)
    where e(m) = exp(-2 pi i m / 4096)

The window and the factors between the stages are part of the matrices, so that only axes change between
two products; time frames stay the last axis, contiguous. The matrices are
made from one table of 4096 cosines inside the graph: onnxruntime computes them once, when it loads the
graph, and the file stays small.

Source: `HTDemucs._spec`, `_ispec` (demucs/htdemucs.py) and demucs/spec.py, with n_fft = 4096,
hop = 1024, `normalized=True`, periodic Hann window. demucs pads by 1536, lets torch pad by 2048 more,
then drops two frames at each end and the last bin: the frames that remain are those of the first padding.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from export.operations import pad_time
from separation.contract import CHANNELS

FFT = 4096  # samples per frame
SIDE = 64  # FFT = SIDE * SIDE
HOP = 1024  # samples from frame to frame
OVERLAPPING = FFT // HOP  # frames over one sample
BINS = FFT // 2  # 2048: the Nyquist bin is dropped, as demucs does
HALF_BINS = BINS // SIDE  # 32: values of k2
MARGIN = HOP // 2 * 3  # samples from the first frame's start to the segment's
N1_PER_HOP = HOP // SIDE  # 16: values of n1 in one hop


def frames_of(segment: int) -> int:
    """Time frames of the spectrogram of `segment` samples: 336 for htdemucs's 343,980."""
    return -(-segment // HOP)


class _Tables(nn.Module):
    """cos and sin of 2 pi m / 4096 for integer phases m, and the Hann window, as (n1, n2).

    `segment` is in samples, `frames` are its time frames. Buffer names are names in the ONNX file.
    """

    cosines: Tensor
    window: Tensor
    side: Tensor
    bin_weight: Tensor

    def __init__(self, segment: int) -> None:
        super().__init__()
        self.segment, self.frames = segment, frames_of(segment)
        angle = torch.arange(FFT, dtype=torch.float64) * (2 * math.pi / FFT)
        self.register_buffer("cosines", torch.cos(angle).float())
        self.register_buffer("window", (0.5 - 0.5 * torch.cos(angle)).float().reshape(SIDE, SIDE))
        self.register_buffer("side", torch.arange(SIDE))
        weight = torch.full((HALF_BINS, SIDE), 2 / math.sqrt(FFT) / 1.5)  # (k2, k1), see Waveform
        weight[0, 0] /= 2
        self.register_buffer("bin_weight", weight)

    def cos(self, phase: Tensor) -> Tensor:
        return self.cosines[phase % FFT]

    def sin(self, phase: Tensor) -> Tensor:
        return self.cosines[(phase + 3 * FFT // 4) % FFT]

    def stage_1(self) -> tuple[Tensor, Tensor]:
        """cos and sin of phase 64 k1 n1: (k1, n1) each."""
        phase = SIDE * self.side[:, None] * self.side[None, :]
        return self.cos(phase), self.sin(phase)

    def stage_2(self) -> tuple[Tensor, Tensor]:
        """cos and sin of phase n2 (k1 + 64 k2): (k1, k2, n2) each."""
        bins = self.side[:, None] + SIDE * self.side[None, :HALF_BINS]
        phase = bins[:, :, None] * self.side
        return self.cos(phase), self.sin(phase)


class Spectrogram(_Tables):
    """mix (batch, 2, segment) -> (batch, 4, BINS, frames): left real, left imaginary, right real and so on.

    Includes demucs's factor 1 / sqrt(4096).
    """

    def forward(self, mix: Tensor) -> Tensor:
        frames = self.frames
        padded = pad_time(mix, MARGIN, MARGIN + frames * HOP - self.segment, "reflect")
        hops = padded.reshape(-1, CHANNELS, frames + OVERLAPPING - 1, N1_PER_HOP, SIDE).permute(0, 1, 4, 3, 2)
        samples = torch.cat([hops[..., j : j + frames] for j in range(OVERLAPPING)], dim=3)  # n2, n1, frame

        cos, sin = self.stage_1()
        scaled = (self.window / math.sqrt(FFT)).t()[:, None, :]  # (n2, 1, n1)
        half = torch.cat([cos * scaled, -sin * scaled], dim=1)  # (n2, (part, k1), n1)
        halfway = torch.matmul(half, samples).reshape(-1, CHANNELS, SIDE, 2, SIDE, frames)
        halfway = halfway.permute(0, 1, 4, 2, 3, 5).reshape(
            -1, CHANNELS, SIDE, 2 * SIDE, frames
        )  # k1, (n2, part)

        cos, sin = self.stage_2()
        real, imaginary = torch.stack([cos, sin], dim=-1), torch.stack([-sin, cos], dim=-1)
        rest = torch.cat([real, imaginary], dim=1).reshape(SIDE, 2 * HALF_BINS, 2 * SIDE)
        bins = torch.matmul(rest, halfway).reshape(-1, CHANNELS, SIDE, 2, HALF_BINS, frames)
        return bins.permute(0, 1, 3, 4, 2, 5).reshape(-1, 2 * CHANNELS, BINS, frames)


class Waveform(_Tables):
    """The inverse: (batch, 4 rows, BINS, frames) -> (batch times rows, 2, segment), row by row of each item.

    x[n] = Re(X[0]) + 2 Re(sum over k = 1..2047 of X[k] e(-kn)), times 64 / 4096. The squared windows of
    the four frames over a sample add up to 3/2 everywhere in the segment: dividing by them is a constant.
    """

    def forward(self, spectrogram: Tensor) -> Tensor:
        frames = self.frames
        bins = spectrogram.reshape(-1, CHANNELS, 2, HALF_BINS, SIDE, frames).permute(0, 1, 4, 2, 3, 5)
        bins = bins.reshape(-1, CHANNELS, SIDE, 2 * HALF_BINS, frames)  # k1, (part, k2)

        cos, sin = (table.permute(0, 2, 1) for table in self.stage_2())  # (k1, n2, k2)
        real, imaginary = torch.cat([cos, -sin], dim=2), torch.cat([sin, cos], dim=2)
        half = torch.stack([real, imaginary], dim=2).reshape(SIDE, 2 * SIDE, 2 * HALF_BINS)
        half = half * torch.cat([self.bin_weight, self.bin_weight]).t()[:, None, :]
        halfway = torch.matmul(half, bins).reshape(-1, CHANNELS, SIDE, SIDE, 2, frames)
        halfway = halfway.permute(0, 1, 3, 4, 2, 5).reshape(
            -1, CHANNELS, SIDE, 2 * SIDE, frames
        )  # n2, (part, k1)

        cos, sin = (table.t() for table in self.stage_1())  # (n1, k1)
        scaled = self.window.t()[:, :, None]  # (n2, n1, 1)
        rest = torch.cat([cos * scaled, -sin * scaled], dim=2)
        windowed = torch.matmul(rest, halfway)  # n2, n1, frame

        quarters = (
            pad_time(windowed[:, :, :, j * N1_PER_HOP : (j + 1) * N1_PER_HOP], j, OVERLAPPING - 1 - j)
            for j in range(OVERLAPPING)
        )
        hops = cast(Tensor, sum(quarters))
        wave = hops.permute(0, 1, 4, 3, 2).reshape(-1, CHANNELS, (frames + OVERLAPPING - 1) * HOP)
        return wave[..., MARGIN : MARGIN + self.segment]
