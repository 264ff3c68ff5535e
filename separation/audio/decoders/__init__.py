"""Decoders: one file per library that turns a file's bytes into samples; `choose` picks one for a file.

To add a decoder: write a class with the attributes of `Decoder` in a file of its own, and let
`choose.open_decoder` return it for the files that it reads better than the others do.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

OnProgress = Callable[[], None]  # called after each block decoded, also one that the caller did not ask for


def ignore_progress() -> None:
    pass


class Decoder(Protocol):
    """One open file, at its own sample rate. `declared_samples` is only what the header says."""

    rate: int  # Hz
    channels: int
    codec: str
    channel_names: tuple[str, ...]  # ffmpeg's names; empty if the file does not name its channels
    declared_samples: int | None
    declared_is_exact: bool  # False: the declared length is a guess from the bit rate
    warnings: list[str]  # complete once `samples` was read to the end

    def samples(self, start: int, stop: int | None) -> Iterator[np.ndarray]:
        """Samples [start, stop) at the file's rate, in blocks float32 (channels, n).

        Of a file with one or two channels, each block has one or two: some MP3s change in between.
        """
        ...
