"""Writes a track's stems to the output; a file appears there complete or not at all."""

import hashlib
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from separation.audio.encoding import clip, clip_divisor, write_audio
from separation.errors import ErrorKind, StorageError, TrackError
from separation.level import peak
from separation.options import Options
from separation.store.disk.full_disk import room_in, temporary_folder
from separation.store.errors import refuses_name
from separation.store.filesystems import join
from separation.store.objects import Store
from separation.store.redact import shown

Blocks = Iterable[np.ndarray]  # float32 (channels, n) each; must be iterable more than once


@dataclass(frozen=True, slots=True)
class StemFile:
    """A written stem. `peak` is its largest |sample| as separated, before rescaling or clamping.

    `upload_s` is how long the upload took, and the reading back if there was one.
    """

    stem: str
    uri: str
    bytes: int
    sha256: str
    peak: float
    upload_s: float


@dataclass(frozen=True)
class MixMinus:
    """The mix minus stems, one after the other, block by block: the rest of the mix.

    Such as the `no_<stem>` of `--two-stems`. All are cut into the same blocks.
    """

    mix: Blocks
    stems: Sequence[Blocks]

    def __iter__(self) -> Iterator[np.ndarray]:
        for rest, *stems in zip(self.mix, *self.stems, strict=True):
            for stem in stems:
                rest = rest - stem
            yield rest


def write_stems(
    stems: Mapping[str, Blocks],
    track_id: str,
    length: int,
    options: Options,
    output: str,
    store: Store,
    read_back_share: float = 0.0,
    *,
    sample_rate: int,
) -> tuple[list[StemFile], float]:
    """Writes all stems of a track below `output`; returns the files and the factor that they were scaled by.

    `length` is the track's in samples, and `sample_rate` that of the stems, in Hz. Each stem is iterated
    twice, first for its peak, and encoded to a local temporary file first, so an exception leaves no partial
    file at `output`. The share `read_back_share` of the files, 0 to 1, is read back and compared. Raises
    `TrackError` (BAD_KEY) if the output cannot hold a path and (NONFINITE) for a stem that is no numbers,
    `UsageError` if the format cannot have the rate.
    """
    uris = {stem: join(output, options.path(track_id, stem)) for stem in stems}
    peaks = {stem: finite_peak(blocks, stem, uris[stem]) for stem, blocks in stems.items()}
    divisor = clip_divisor(max(peaks.values()), options.clip_mode)
    encoding = options.encoding
    files = []
    for stem, blocks in stems.items():
        uri = uris[stem]
        clipped = (clip(block, options.clip_mode, divisor) for block in blocks)
        with temporary_folder() as folder:
            encoded = folder / f"{stem}.{encoding.extension}"
            with room_in(folder.parent):
                written = write_audio(encoded, clipped, length, encoding, sample_rate)
            clock = time.perf_counter()
            _put(encoded, uri, store)
            if is_read_back(uri, read_back_share):
                _read_back(encoded, uri, written.sha256, store)
            upload_s = time.perf_counter() - clock
        files.append(StemFile(stem, uri, written.bytes, written.sha256, peaks[stem], upload_s))
    return files, 1 / divisor


def finite_peak(blocks: Blocks, stem: str, uri: str) -> float:
    """The largest |sample| of a stem. Raises `TrackError` (NONFINITE) if the models gave no numbers."""
    highest = 0.0
    for block in blocks:
        if not math.isfinite(here := peak(block)):
            reason = f"the models give NaN or infinite samples as {stem}"
            raise TrackError(uri, ErrorKind.NONFINITE, reason)
        highest = max(highest, here)
    return highest


def _put(source: Path, uri: str, store: Store) -> None:
    """Raises `TrackError(BAD_KEY)` if the store is well and cannot hold this very path."""
    try:
        store.put_file(source, uri)
    except StorageError as error:
        if not refuses_name(error):
            raise
        reason = f"the output refuses this path: {error.reason}; another file may stand in its way"
        raise TrackError(uri, ErrorKind.BAD_KEY, reason) from error


def is_read_back(uri: str, share: float) -> bool:
    """Whether this file belongs to the `share` of files that is read back; the same files in each run."""
    name = uri.encode(errors="surrogateescape")  # of a local disk, whose names need not be UTF-8
    return int(hashlib.sha256(name).hexdigest()[:8], 16) < share * 2**32


def _read_back(source: Path, uri: str, sha256: str, store: Store) -> None:
    """Compares the stored file with `sha256`, writes it once more if it differs, then raises StorageError."""
    copy = source.with_name("copy")
    for may_write_again in (True, False):
        store.download(uri, copy)
        with copy.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found == sha256:
            return
        if may_write_again:
            store.put_file(source, uri)
    raise StorageError(shown(uri), f"written twice with sha256 {sha256}, and read back with {found}")
