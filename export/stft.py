"""The short-time Fourier transform and its inverse as batched matrix products, without complex tensors.

`Stft` and `InverseStft` are `torch.stft` and `torch.istft` with `center=True`; `fourier` has demucs's own
framing. A frame of N = N1 N2 samples is transformed in two stages (Cooley and Tukey):

    sample  n = N2 n1 + n2        bin  k = k1 + N1 k2,  k = 0..N/2
    stage 1, for every n2:   Y[k1, n2] = sum over n1 of  x[n] window[n] e(N2 k1 n1)
    stage 2, for every k1:   X[k]      = sum over n2 of  Y[k1, n2] e(n2 k)
    where e(m) = exp(-2 pi i m / N)

k2 runs from 0 to N2 / 2, so that stage 2 computes some bins above N / 2, which are dropped. The window and
the factors between the stages are part of the matrices; time frames stay the last axis. All matrices are made
from one table of N cosines inside the graph: engines compute them once, when they load it, and the file stays
small.

Source: `torch.stft`, `torch.istft` (2.13): the signal is mirrored by N / 2 at both ends; `normalized` divides
by sqrt(N); the inverse is divided by the sum of the squared windows over each sample.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from export.operations import expand, pad_time

SHORT_SUM = 8  # the terms of every product are a multiple of it


@dataclass(frozen=True, slots=True)
class Framing:
    """`fft` samples per frame, a power of 2 from 64 up; `hop` from frame to frame, up to half of it.

    `hann`: a periodic Hann window, else none. Frames are cut from the signal and added up again in whole
    hops, `overlapping` to a frame. Where a frame is whole hops of whole `side_2`, the samples n2 of each n1
    stay together for that; for any other hop a frame is one row of samples, with zeros to whole hops.
    """

    fft: int
    hop: int
    normalized: bool
    hann: bool

    @property
    def side_1(self) -> int:
        """N1: values of n1 and k1."""
        return self.fft // self.side_2

    @property
    def side_2(self) -> int:
        """N2: values of n2."""
        return 1 << self.fft.bit_length() // 2

    @property
    def bins(self) -> int:
        return self.fft // 2 + 1

    @property
    def unit(self) -> int:
        """Samples that a hop moves together: N2 or 1."""
        return 1 if self.fft % self.hop or self.hop % self.side_2 else self.side_2

    @property
    def overlapping(self) -> int:
        """Frames over one sample, at most."""
        return -(-self.fft // self.hop)

    def frames(self, samples: int) -> int:
        """Time frames of a signal of `samples`."""
        return samples // self.hop + 1

    def covered(self, frames: int) -> int:
        """Samples under `frames` frames in whole hops."""
        return (frames + self.overlapping - 1) * self.hop


class TwoStage(nn.Module):
    """The two stages, both ways, of frames of `framing`; `half_2` values of k2 make the bins.

    A subclass registers what is used here, under names that stand in its ONNX files: `cosines`, cos of
    2 pi m / N for m from 0 to N - 1; `window` as (n1, n2); the indexes that `n1` and `n2` return, which are
    those of k1 and k2 as well.
    """

    cosines: Tensor
    window: Tensor
    short_sums = False  # whether `analyse` sums SHORT_SUM numbers at most at once

    def __init__(self, framing: Framing, half_2: int, frames: int) -> None:
        super().__init__()
        self.framing, self.half_2, self.frames = framing, half_2, frames

    @property
    def n1(self) -> Tensor:
        raise NotImplementedError

    @property
    def n2(self) -> Tensor:
        raise NotImplementedError

    def cos(self, phase: Tensor) -> Tensor:
        return self.cosines[phase % self.framing.fft]

    def sin(self, phase: Tensor) -> Tensor:
        return self.cosines[(phase + 3 * self.framing.fft // 4) % self.framing.fft]

    def stage_1(self) -> tuple[Tensor, Tensor]:
        """cos and sin of phase N2 k1 n1: (k1, n1) each."""
        phase = self.framing.side_2 * self.n1[:, None] * self.n1[None, :]
        return self.cos(phase), self.sin(phase)

    def stage_2(self) -> tuple[Tensor, Tensor]:
        """cos and sin of phase n2 (k1 + N1 k2): (k1, k2, n2) each."""
        bins = self.n1[:, None] + self.framing.side_1 * self.n2[None, : self.half_2]
        phase = bins[:, :, None] * self.n2
        return self.cos(phase), self.sin(phase)

    def scaled_window(self) -> Tensor:
        """(n1, n2): the window and the factor of the analysis."""
        raise NotImplementedError

    def product(self, table: Tensor, x: Tensor) -> Tensor:
        """(side, outputs, terms) by (batch, channels, side, terms, frames) -> the same with outputs for
        terms.

        In short sums, each is of terms that are far apart, as in a fast transform: those of the loud
        frequencies, which come back in other bins, mostly cancel there before they are rounded.
        """
        side, outputs, terms = (int(size) for size in table.shape)
        if not self.short_sums or terms <= SHORT_SUM:
            return torch.matmul(table, x)
        parts = terms // SHORT_SUM
        table = table.reshape(side, outputs, SHORT_SUM, parts).permute(0, 3, 1, 2)
        channels, frames = int(x.shape[1]), int(x.shape[4])
        x = x.reshape(-1, channels, side, SHORT_SUM, parts, frames).permute(0, 1, 2, 4, 3, 5)
        return torch.matmul(table, x).sum(3)

    def analyse(self, padded: Tensor, channels: int) -> Tensor:
        """(batch, channels, `framing.covered(frames)`) -> (batch, 2 channels, half_2 N1, frames): of each
        channel real, then imaginary."""
        framing, frames, half_2 = self.framing, self.frames, self.half_2
        side_1, side_2, per_hop = framing.side_1, framing.side_2, framing.hop // framing.unit
        hops = padded.reshape(-1, channels, frames + framing.overlapping - 1, per_hop, framing.unit)
        hops = hops.permute(0, 1, 4, 3, 2)
        samples = torch.cat([hops[..., j : j + frames] for j in range(framing.overlapping)], dim=3)  # n2, n1
        if framing.unit == 1:  # one row of samples to whole hops -> n2, n1
            samples = samples[:, :, :, : framing.fft].reshape(-1, channels, side_1, side_2, frames)
            samples = samples.permute(0, 1, 3, 2, 4)

        cos, sin = self.stage_1()
        scaled = self.scaled_window().t()[:, None, :]  # (n2, 1, n1)
        half = torch.cat([cos * scaled, -sin * scaled], dim=1)  # (n2, (part, k1), n1)
        halfway = self.product(half, samples).reshape(-1, channels, side_2, 2, side_1, frames)
        halfway = halfway.permute(0, 1, 4, 2, 3, 5)
        halfway = halfway.reshape(-1, channels, side_1, 2 * side_2, frames)  # k1, (n2, part)

        cos, sin = self.stage_2()
        real, imaginary = torch.stack([cos, sin], dim=-1), torch.stack([-sin, cos], dim=-1)
        rest = torch.cat([real, imaginary], dim=1).reshape(side_1, 2 * half_2, 2 * side_2)
        bins = self.product(rest, halfway).reshape(-1, channels, side_1, 2, half_2, frames)
        return bins.permute(0, 1, 3, 4, 2, 5).reshape(-1, 2 * channels, half_2 * side_1, frames)

    def synthesise(self, spectrogram: Tensor, channels: int, weight: Tensor) -> Tensor:
        """(batch, 2 channels, half_2 N1, frames) -> windowed frames (batch, channels, n2, n1, frames).

        `weight`, (k2, k1), is that of each bin in the sum.
        """
        side_1, side_2, frames, half_2 = self.framing.side_1, self.framing.side_2, self.frames, self.half_2
        bins = spectrogram.reshape(-1, channels, 2, half_2, side_1, frames).permute(0, 1, 4, 2, 3, 5)
        bins = bins.reshape(-1, channels, side_1, 2 * half_2, frames)  # k1, (part, k2)

        cos, sin = (table.permute(0, 2, 1) for table in self.stage_2())  # (k1, n2, k2)
        real, imaginary = torch.cat([cos, -sin], dim=2), torch.cat([sin, cos], dim=2)
        half = torch.stack([real, imaginary], dim=2).reshape(side_1, 2 * side_2, 2 * half_2)
        half = half * torch.cat([weight, weight]).t()[:, None, :]
        halfway = torch.matmul(half, bins).reshape(-1, channels, side_1, side_2, 2, frames)
        halfway = halfway.permute(0, 1, 3, 4, 2, 5)
        halfway = halfway.reshape(-1, channels, side_2, 2 * side_1, frames)  # n2, (part, k1)

        cos, sin = (table.t() for table in self.stage_1())  # (n1, k1)
        window = self.window.t()[:, :, None]  # (n2, n1, 1)
        rest = torch.cat([cos * window, -sin * window], dim=2)
        return torch.matmul(rest, halfway)

    def overlap_add(self, windowed: Tensor, channels: int) -> Tensor:
        """(batch, channels, n2, n1, frames) -> (batch, channels, `framing.covered(frames)`)."""
        framing, frames = self.framing, self.frames
        per_hop, last = framing.hop // framing.unit, framing.overlapping - 1
        if framing.unit == 1:  # n2, n1 -> one row of samples to whole hops
            row = windowed.permute(0, 1, 3, 2, 4).reshape(-1, channels, framing.fft * frames)
            missing = framing.overlapping * framing.hop - framing.fft
            row = pad_time(row, 0, missing * frames) if missing else row
            windowed = row.reshape(-1, channels, 1, framing.overlapping * framing.hop, frames)
        parts = (
            pad_time(windowed[:, :, :, j * per_hop : (j + 1) * per_hop], j, last - j)
            for j in range(framing.overlapping)
        )
        hops = cast(Tensor, sum(parts))
        return hops.permute(0, 1, 4, 3, 2).reshape(-1, channels, framing.covered(frames))


class _Torch(TwoStage):
    """What `Stft` and `InverseStft` share: all bins up to N / 2, and sides of different lengths."""

    first: Tensor
    second: Tensor

    def __init__(self, framing: Framing, frames: int) -> None:
        super().__init__(framing, framing.side_2 // 2 + 1, frames)
        angle = torch.arange(framing.fft, dtype=torch.float64) * (2 * math.pi / framing.fft)
        self.register_buffer("cosines", torch.cos(angle).float())
        window = 0.5 - 0.5 * torch.cos(angle) if framing.hann else torch.ones_like(angle)
        self.register_buffer("window", window.float().reshape(framing.side_1, framing.side_2))
        self.register_buffer("first", torch.arange(framing.side_1))
        self.register_buffer("second", torch.arange(framing.side_2))

    @property
    def n1(self) -> Tensor:
        return self.first

    @property
    def n2(self) -> Tensor:
        return self.second


class Stft(_Torch):
    """(batch, channels, samples) -> (batch, 2 channels, bins, frames): of each channel real, then imaginary.

    Where `samples` are no whole hops, the last frame ends before a signal does that is mirrored by N / 2:
    as much is mirrored here as the hops need. `short_sums` is as exact as a fast Fourier transform, for
    networks that follow the smallest numbers of a spectrogram.
    """

    def __init__(self, framing: Framing, samples: int, channels: int, short_sums: bool = False) -> None:
        super().__init__(framing, framing.frames(samples))
        self.channels, self.short_sums = channels, short_sums
        self.before = framing.fft // 2
        self.after = framing.covered(self.frames) - self.before - samples

    def scaled_window(self) -> Tensor:
        return self.window * (1 / math.sqrt(self.framing.fft) if self.framing.normalized else 1.0)

    def forward(self, signal: Tensor) -> Tensor:
        bins = self.analyse(pad_time(signal, self.before, self.after, "reflect"), self.channels)
        return bins[:, :, : self.framing.bins]


class InverseStft(_Torch):
    """(batch, 2 signals, bins, frames) -> (batch times signals, samples): of each real, then imaginary.

    x[n] = Re(X[0]) + (-1)^n Re(X[N/2]) + 2 Re(sum over the bins between of X[k] e(-kn)), divided by N, or by
    sqrt(N) if normalized. `samples` is less than frames times the hop. `dc`: with X[0], else without.
    """

    weight: Tensor

    def __init__(self, framing: Framing, frames: int, samples: int, dc: bool = True) -> None:
        super().__init__(framing, frames)
        self.samples = samples
        weight = torch.zeros(self.half_2 * framing.side_1)  # of bins above N / 2: 0
        weight[: framing.bins] = 2
        weight[0], weight[framing.bins - 1] = float(dc), 1
        weight /= math.sqrt(framing.fft) if framing.normalized else framing.fft
        self.register_buffer("weight", weight.reshape(self.half_2, framing.side_1))  # (k2, k1)

    def forward(self, spectrogram: Tensor) -> Tensor:
        framing, frames = self.framing, self.frames
        missing = self.half_2 * framing.side_1 - framing.bins
        bins = pad_time(spectrogram.reshape(-1, 2, framing.bins * frames), 0, missing * frames)
        wave = self.overlap_add(self.synthesise(bins, 1, self.weight), 1)
        window = self.window.t()[:, :, None]  # (n2, n1, 1)
        squares = expand(window * window, framing.side_2, framing.side_1, frames)
        wave = wave / self.overlap_add(squares.unsqueeze(0).unsqueeze(0), 1)
        return wave[:, :, framing.fft // 2 : framing.fft // 2 + self.samples].reshape(-1, self.samples)
