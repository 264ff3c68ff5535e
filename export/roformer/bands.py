"""Which bins of a spectrogram a RoFormer's bands have, and masks of overlapping bands as masks of bins.

Source: msst/models/bs_roformer/ (0.1.0), where librosa makes the mel filters; here `pymss_core` does, whose
filters are librosa's.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from pymss_core.modules._dsp import mel_filterbank
from torch import Tensor, nn

from export.operations import pad_time

Bands = Sequence[Sequence[int]]


def mel_bands(count: int, fft: int, sample_rate: int) -> tuple[tuple[int, ...], ...]:
    """The bins of each of `count` bands: where a triangular mel filter is above 0.

    The first bin is the first band's and the last one the last band's, whatever the filters say.
    """
    filters = mel_filterbank(sr=sample_rate, n_fft=fft, n_mels=count)
    filters[0, 0] = filters[-1, -1] = 1
    return tuple(tuple((row > 0).nonzero()[0].tolist()) for row in filters)


def split_bands(counts: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Bands side by side of so many bins each."""
    stops = accumulate(counts)
    return tuple(tuple(range(stop - count, stop)) for count, stop in zip(counts, stops, strict=True))


class BinMean(nn.Module):
    """Masks of the bins of all bands, (batch, parts, entries, frames), one band after the other -> the mean
    of each bin, (batch, parts, bins, frames).

    The bands of a bin are added in their order, as MSST's `scatter_add_` does, by one selection for each of
    the most that a bin has. Buffer names are names in the ONNX file.
    """

    count: Tensor

    def __init__(self, bands: Bands, frames: int) -> None:
        super().__init__()
        bins = [bin_ for band in bands for bin_ in band]
        self.frames, self.entries = frames, len(bins)
        places: list[list[int]] = [[] for _ in range(max(bins) + 1)]
        for entry, bin_ in enumerate(bins):
            places[bin_].append(entry)
        self.most = max(map(len, places))
        for index in range(self.most):  # a bin of fewer bands takes the zeros that follow the entries
            table = [own[index] if index < len(own) else self.entries for own in places]
            self.register_buffer(f"entry_{index}", torch.tensor(table))
        self.register_buffer("count", torch.tensor([float(len(own)) for own in places])[:, None])

    def forward(self, masks: Tensor) -> Tensor:
        parts = int(masks.shape[1])
        rows = pad_time(masks.reshape(-1, parts, self.entries * self.frames), 0, self.frames)
        rows = rows.reshape(-1, parts, self.entries + 1, self.frames)
        total = torch.index_select(rows, 2, self.get_buffer("entry_0"))
        for index in range(1, self.most):
            total = total + torch.index_select(rows, 2, self.get_buffer(f"entry_{index}"))
        return total / self.count
