"""What a process that runs stages holds from call to call: its decoders and its access to the sources."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from separation.audio.decoder_process.decoding import Decoding, open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.limits import DEFAULTS, Limits
from separation.blocks import reblock
from separation.store.objects import Store
from separation.store.source_cache import SourceCache


@dataclass(frozen=True, slots=True)
class Worker:
    """Passed to the work of every stage. `node` names the node in the tables."""

    node: str
    sources: SourceCache  # on the node's disk, for all of its processes
    decoders: DecoderPool  # of this process

    @contextmanager
    def open_source(self, uri: str, etag: str, limits: Limits, sample_rate: int) -> Iterator[Decoding]:
        """The track from the node's cache, decoded in a process of its own; it must still have `etag`.

        Its samples come at `sample_rate` in Hz.
        """
        with (
            self.sources.open(uri, etag) as file,
            open_decoding(file, uri, self.decoders, limits, sample_rate) as decoding,
        ):
            yield decoding


@cache
def worker_of(
    cache_folder: str, cache_bytes: int, node: str, store: Store, limits: Limits = DEFAULTS
) -> Worker:
    """This process's worker for jobs with that cache; the only state that outlives a call."""
    sources = SourceCache(Path(cache_folder) / "sources", cache_bytes, store, limits)
    return Worker(node, sources, DecoderPool())


@dataclass(frozen=True, slots=True)
class SourceMix:
    """A track's mix as blocks float32 (channels, BLOCK), decoded anew at each iteration."""

    uri: str
    etag: str
    limits: Limits
    sample_rate: int
    worker: Worker

    def __iter__(self) -> Iterator[np.ndarray]:
        with self.worker.open_source(self.uri, self.etag, self.limits, self.sample_rate) as reader:
            yield from reblock(reader.blocks())
