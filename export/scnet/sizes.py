"""The sizes of an SCNet, from its configuration; what the modules here do not compute is refused by name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from export.msst.config import network_arguments
from export.stft import Framing
from separation.contract import CHANNELS
from separation.errors import ModelError

PARTS = 2  # real and imaginary
BANDS = 3  # low, mid and high


@dataclass(frozen=True, slots=True)
class Band:
    """Frequencies [start, stop) of a layer's input: one of its convolutions makes `reduced` of them.

    The input is padded with `before` and `after` zeros; the transposed convolution of the decoder gives
    as many frequencies too many at both ends.
    """

    start: int
    stop: int
    kernel: int
    stride: int
    before: int
    after: int
    reduced: int


@dataclass(frozen=True, slots=True)
class Sizes:
    """The arguments of MSST's `SCNet`, under their own names (msst/models/scnet/scnet.py, 0.1.0).

    `sources` are as many as the rows of the output; what these are called says `training.instruments`.
    """

    sources: tuple[str, ...] = ("drums", "bass", "other", "vocals")
    audio_channels: int = CHANNELS
    dims: tuple[int, ...] = (4, 32, 64, 128)
    nfft: int = 4096
    hop_size: int = 1024
    win_size: int = 4096
    normalized: bool = True
    band_SR: tuple[float, ...] = (0.175, 0.392, 0.433)  # its own name
    band_stride: tuple[int, ...] = (1, 4, 16)
    band_kernel: tuple[int, ...] = (3, 4, 16)
    conv_depths: tuple[int, ...] = (3, 2, 1)
    compress: int = 4
    conv_kernel: int = 3
    num_dplayer: int = 6
    expand: int = 1

    @property
    def rows(self) -> int:
        return len(self.sources)

    def framing(self, hann: bool) -> Framing:
        return Framing(self.nfft, self.hop_size, self.normalized, hann)

    def padded(self, segment: int) -> int:
        """Samples with the zeros that `SCNet.forward` appends: whole hops, and an even number of frames."""
        hops = segment // self.hop_size + 1
        return (hops + 1 - hops % 2) * self.hop_size

    def hidden(self, channels: int) -> int:
        """Channels inside a convolution module."""
        return int(channels / self.compress)

    def bands(self, frequencies: int) -> tuple[Band, ...]:
        """How a layer divides its `frequencies`: `SDlayer.forward`."""
        low = math.ceil(frequencies * self.band_SR[0])
        mid = math.ceil(frequencies * (self.band_SR[0] + self.band_SR[1]))
        bounds = (0, low, mid, frequencies)
        bands = []
        for index, (kernel, stride) in enumerate(zip(self.band_kernel, self.band_stride, strict=True)):
            start, stop = bounds[index], bounds[index + 1]
            padding = kernel - stride if stride == 1 else -(stop - start) % stride
            reduced = (stop - start + padding - kernel) // stride + 1
            bands.append(Band(start, stop, kernel, stride, padding // 2, padding - padding // 2, reduced))
        return tuple(bands)

    def frequencies(self) -> list[int]:
        """Frequencies before each layer of the encoder, and after the last one: 2049, 616, 186, 57."""
        counts = [self.nfft // 2 + 1]
        for _ in self.dims[1:]:
            counts.append(sum(band.reduced for band in self.bands(counts[-1])))
        return counts


def sizes_of(where: str, model: Mapping[str, Any]) -> Sizes:
    """The section `model` of the configuration at `where`. Raises `ModelError` for what is not supported."""
    sizes = network_arguments(where, model, "SCNet", Sizes)
    _check(where, sizes)
    return sizes


def _check(where: str, sizes: Sizes) -> None:
    def expect(name: str, holds: bool, expected: str) -> None:
        if not holds:
            value = getattr(sizes, name)
            found = list(value) if isinstance(value, tuple) else value
            raise ModelError(where, f"model.{name} is {found!r}; supported: {expected}")

    expect("sources", sizes.rows > 0, "one or more names")
    expect("audio_channels", sizes.audio_channels == CHANNELS, str(CHANNELS))
    expect("dims", len(sizes.dims) > 1 and min(sizes.dims) > 0, "the input's 4 and one or more sizes")
    expect("dims", sizes.dims[0] == PARTS * CHANNELS, f"{PARTS * CHANNELS} first, two parts of two channels")
    expect("win_size", sizes.win_size == sizes.nfft, f"nfft, {sizes.nfft}")
    expect("nfft", sizes.nfft >= 64 and not sizes.nfft & (sizes.nfft - 1), "a power of 2 from 64 up")
    expect("hop_size", 0 < sizes.hop_size <= sizes.nfft // 2, f"1 to half of nfft, {sizes.nfft // 2}")
    for name in ("band_SR", "band_stride", "band_kernel", "conv_depths"):
        value = getattr(sizes, name)
        expect(name, len(value) == BANDS and min(value) > 0, f"{BANDS} numbers above 0")
    expect("compress", sizes.compress > 0 and sizes.hidden(min(sizes.dims[1:])) > 0, "1 to the least of dims")
    expect("conv_kernel", sizes.conv_kernel > 0 and sizes.conv_kernel % 2 == 1, "an odd number")
    expect("num_dplayer", sizes.num_dplayer > 0 and sizes.num_dplayer % 2 == 0, "an even number")
    expect("expand", sizes.expand > 0, "1 or more")
    for count in sizes.frequencies()[:-1]:
        bands = sizes.bands(count)
        if any(band.stop <= band.start or band.reduced < 1 for band in bands):
            raise ModelError(where, f"model.band_SR leaves a band of {count} frequencies empty")
        for band in bands:
            given = (band.reduced - 1) * band.stride + band.kernel
            surplus = given - (band.stop - band.start)
            expect("band_kernel", surplus == band.before + band.after, "the stride, or any for a stride of 1")
