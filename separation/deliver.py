"""A track's stems -> files at the output, each of them whole or not there."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from separation.level import peak
from separation.options import Options
from separation.storage import join, put_file
from separation.writing import Encoding, clip, clip_divisor, write_audio

Blocks = Iterable[np.ndarray]  # float32 (channels, n) each; iterated more than once


@dataclass(frozen=True, slots=True)
class StemFile:
    """`peak` is the stem's largest magnitude as separated, before `clip_factor` and any clamping."""

    stem: str
    uri: str
    bytes: int
    sha256: str
    peak: float


@dataclass(frozen=True)
class Complement:
    """mix minus stem, block by block: what `--two-stems` writes beside the stem."""

    mix: Blocks
    stem: Blocks

    def __iter__(self) -> Iterator[np.ndarray]:
        for mix, stem in zip(self.mix, self.stem, strict=True):
            yield mix - stem


def deliver(
    stems: Mapping[str, Blocks], track_id: str, length: int, options: Options, output: str
) -> tuple[list[StemFile], float]:
    """Writes every stem of a track below `output`; returns the files and the factor of `rescale`.

    Each stem is iterated twice, once for its peak, and encoded to a local temporary file first:
    an exception leaves nothing half-written at `output`.
    """
    peaks = {stem: max(map(peak, blocks), default=0.0) for stem, blocks in stems.items()}
    divisor = clip_divisor(max(peaks.values()), options.clip_mode)
    encoding = Encoding(options.format, options.bits)
    files = []
    for stem, blocks in stems.items():
        uri = join(output, options.path(track_id, stem))
        clipped = (clip(block, options.clip_mode, divisor) for block in blocks)
        with tempfile.TemporaryDirectory(prefix="stemfleet-") as folder:
            encoded = Path(folder) / f"{stem}.{encoding.extension}"
            written = write_audio(encoded, clipped, length, encoding)
            put_file(encoded, uri)
        files.append(StemFile(stem, uri, written.bytes, written.sha256, peaks[stem]))
    return files, 1 / divisor
