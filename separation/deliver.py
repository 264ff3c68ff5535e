"""A track's stems -> files at the output, each of them whole or not there."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from separation.level import peak
from separation.options import ClipMode, Options
from separation.storage import join, put_file
from separation.writing import Encoding, write_audio

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


def clip_factor(peaks: Iterable[float], mode: ClipMode) -> float:
    """One factor for all stems of a track, so that their relative levels stay.

    demucs's `rescale` (demucs/audio.py, `prevent_clip`) divides each stem by its own peak instead;
    the 1 % of headroom is its own.
    """
    return 1 / max(1.01 * max(peaks, default=0.0), 1.0) if mode == "rescale" else 1.0


def deliver(
    stems: Mapping[str, Blocks], track_id: str, length: int, options: Options, output: str
) -> tuple[list[StemFile], float]:
    """Writes every stem of a track below `output`; returns the files and the factor of `rescale`.

    Each stem is iterated twice, once for its peak, and encoded to a local temporary file first:
    an exception leaves nothing half-written at `output`.
    """
    peaks = {stem: max(map(peak, blocks), default=0.0) for stem, blocks in stems.items()}
    factor = clip_factor(peaks.values(), options.clip_mode)
    encoding = Encoding(options.format, options.bits)
    files = []
    for stem, blocks in stems.items():
        uri = join(output, options.path(track_id, stem))
        with tempfile.TemporaryDirectory(prefix="stemfleet-") as folder:
            encoded = Path(folder) / f"{stem}.{encoding.extension}"
            written = write_audio(encoded, _clipped(blocks, factor, options), length, encoding)
            put_file(encoded, uri)
        files.append(StemFile(stem, uri, written.bytes, written.sha256, peaks[stem]))
    return files, factor


def _clipped(blocks: Blocks, factor: float, options: Options) -> Iterator[np.ndarray]:
    for block in blocks:
        scaled: np.ndarray[Any, np.dtype[np.float32]] = block * np.float32(factor)
        clamp = options.clip_mode == "clamp" and options.bits != "float"
        yield np.clip(scaled, -1, 1) if clamp else scaled
