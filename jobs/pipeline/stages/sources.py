"""A job's access to the catalogue's files: each node keeps what it read for the stages to come."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from jobs.pipeline.job import Job
from separation.audio.decoder_process.decoding import Decoding, open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.blocks import reblock
from separation.store.source_cache import SourceCache


@cache
def decoder_pool() -> DecoderPool:
    """This worker process's decoder processes: the next task on it reuses them."""
    return DecoderPool()


@contextmanager
def open_source(uri: str, etag: str, job: Job) -> Iterator[Decoding]:
    """The track from the node's cache of sources, decoded in its own process; it must still have `etag`."""
    with (
        sources(job).open(uri, etag) as file,
        open_decoding(file, uri, decoder_pool(), job.limits) as decoding,
    ):
        yield decoding


def sources(job: Job) -> SourceCache:
    return SourceCache(Path(job.cache) / "sources", job.cache_bytes)


@dataclass(frozen=True, slots=True)
class SourceMix:
    """A track's mix as blocks float32 (channels, BLOCK), decoded anew at each iteration."""

    uri: str
    etag: str
    job: Job

    def __iter__(self) -> Iterator[np.ndarray]:
        with open_source(self.uri, self.etag, self.job) as reader:
            yield from reblock(reader.blocks())
