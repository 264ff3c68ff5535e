"""A track's stems -> files at the output, each of them whole or not there."""

import hashlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from separation.audio.encoding import Encoding, clip, clip_divisor, write_audio
from separation.errors import StorageError
from separation.level import peak
from separation.options import Options
from separation.store.objects import download, join, put_file
from separation.store.redact import shown

Blocks = Iterable[np.ndarray]  # float32 (channels, n) each; iterated more than once


@dataclass(frozen=True, slots=True)
class StemFile:
    """`peak` is the stem's largest magnitude as separated, before `clip_factor` and any clamping.

    `upload_s` is how long the store took the file, and gave it back where that was asked for.
    """

    stem: str
    uri: str
    bytes: int
    sha256: str
    peak: float
    upload_s: float


@dataclass(frozen=True)
class MixMinus:
    """mix minus stem, block by block: what `--two-stems` writes beside the stem."""

    mix: Blocks
    stem: Blocks

    def __iter__(self) -> Iterator[np.ndarray]:
        for mix, stem in zip(self.mix, self.stem, strict=True):
            yield mix - stem


def write_stems(
    stems: Mapping[str, Blocks],
    track_id: str,
    length: int,
    options: Options,
    output: str,
    verify: float = 0.0,
) -> tuple[list[StemFile], float]:
    """Writes every stem of a track below `output`; returns the files and the factor of `rescale`.

    Each stem is iterated twice, once for its peak, and encoded to a local temporary file first:
    an exception leaves nothing half-written at `output`. The share `verify` of the files is read back.
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
            clock = time.perf_counter()
            put_file(encoded, uri)
            if is_drawn(uri, verify):
                _read_back(encoded, uri, written.sha256)
            upload_s = time.perf_counter() - clock
        files.append(StemFile(stem, uri, written.bytes, written.sha256, peaks[stem], upload_s))
    return files, 1 / divisor


def is_drawn(uri: str, rate: float) -> bool:
    """Whether the file is of the share `rate` that is read back; the same files in each run."""
    return int(hashlib.sha256(uri.encode()).hexdigest()[:8], 16) < rate * 2**32


def _read_back(source: Path, uri: str, sha256: str) -> None:
    """Puts a file again that the store gives back otherwise; raises StorageError if it does so twice."""
    copy = source.with_name("copy")
    for put_again in (True, False):
        download(uri, copy)
        with copy.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == sha256:
            return
        if put_again:
            put_file(source, uri)
    raise StorageError(shown(uri), f"written twice with sha256 {sha256}, and read back with {found}")
