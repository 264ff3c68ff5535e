"""demucs's own framing of the short-time Fourier transform of `stft` and of its inverse.

A frame has 4096 = 64 x 64 samples. The matrices are made from one table of 4096 cosines inside the graph:
onnxruntime computes them once, when it loads the graph, and the file stays small.

Source: `HTDemucs._spec`, `_ispec` (demucs/htdemucs.py) and demucs/spec.py, with n_fft = 4096,
hop = 1024, `normalized=True`, periodic Hann window. demucs pads by 1536, lets torch pad by 2048 more,
then drops two frames at each end and the last bin: the frames that remain are those of the first padding.
"""

import math

import torch
from torch import Tensor

from export.operations import pad_time
from export.stft import Framing, TwoStage
from separation.contract import CHANNELS

FFT = 4096  # samples per frame
SIDE = 64  # FFT = SIDE * SIDE
HOP = 1024  # samples from frame to frame
BINS = FFT // 2  # 2048: the Nyquist bin is dropped, as demucs does
HALF_BINS = BINS // SIDE  # 32: values of k2
MARGIN = HOP // 2 * 3  # samples from the first frame's start to the segment's


def frames_of(segment: int) -> int:
    """Time frames of the spectrogram of `segment` samples: 336 for htdemucs's 343,980."""
    return -(-segment // HOP)


class _Demucs(TwoStage):
    """`segment` is in samples. Buffer names are names in the ONNX file."""

    side: Tensor
    bin_weight: Tensor

    def __init__(self, segment: int) -> None:
        super().__init__(Framing(FFT, HOP, normalized=True, hann=True), HALF_BINS, frames_of(segment))
        self.segment = segment
        angle = torch.arange(FFT, dtype=torch.float64) * (2 * math.pi / FFT)
        self.register_buffer("cosines", torch.cos(angle).float())
        self.register_buffer("window", (0.5 - 0.5 * torch.cos(angle)).float().reshape(SIDE, SIDE))
        self.register_buffer("side", torch.arange(SIDE))
        weight = torch.full((HALF_BINS, SIDE), 2 / math.sqrt(FFT) / 1.5)  # (k2, k1), see Waveform
        weight[0, 0] /= 2
        self.register_buffer("bin_weight", weight)

    @property
    def n1(self) -> Tensor:
        return self.side

    @property
    def n2(self) -> Tensor:
        return self.side


class Spectrogram(_Demucs):
    """mix (batch, 2, segment) -> (batch, 4, BINS, frames): left real, left imaginary, right real and so on.

    Includes demucs's factor 1 / sqrt(4096).
    """

    def scaled_window(self) -> Tensor:
        return self.window / math.sqrt(FFT)

    def forward(self, mix: Tensor) -> Tensor:
        return self.analyse(
            pad_time(mix, MARGIN, MARGIN + self.frames * HOP - self.segment, "reflect"), CHANNELS
        )


class Waveform(_Demucs):
    """The inverse: (batch, 4 rows, BINS, frames) -> (batch times rows, 2, segment), row by row of each item.

    x[n] = Re(X[0]) + 2 Re(sum over k = 1..2047 of X[k] e(-kn)), times 64 / 4096. The squared windows of
    the four frames over a sample add up to 3/2 everywhere in the segment: dividing by them is a constant.
    """

    def forward(self, spectrogram: Tensor) -> Tensor:
        wave = self.overlap_add(self.synthesise(spectrogram, CHANNELS, self.bin_weight), CHANNELS)
        return wave[..., MARGIN : MARGIN + self.segment]
