"""cut: decodes a section's part of its track and cuts it into the segments that its graphs see."""

import time

import numpy as np
import pyarrow as pa

from jobs.pipeline.arrow import from_table, pack, to_table
from jobs.pipeline.job import Job
from jobs.pipeline.records import TrackChunk, TrackSection
from jobs.pipeline.stages.worker import Worker
from separation.errors import SourceUnreachable, TrackError
from separation.grid import context, cut, is_silent
from separation.level import normalize

MIX = "mix"  # the column of a chunk's segment of the normalized mix


def cut_sections(sections: pa.Table, job: Job, worker: Worker) -> pa.Table:
    """Table of `TrackSection` -> table of `TrackChunk` with the column MIX."""
    return pa.concat_tables(
        [cut_section(section, job, worker) for section in from_table(TrackSection, sections)]
    )


def cut_section(section: TrackSection, job: Job, worker: Worker) -> pa.Table:
    """A section in error or of a silent track becomes one row without audio."""
    clock = time.perf_counter()
    segments: list[np.ndarray] = []
    skipped: list[bool] = []
    if section.track.failure is None and not section.track.is_silent:
        try:
            segments, skipped = segments_of(section, job, worker)
        except (TrackError, SourceUnreachable) as error:
            section = section.failed(error)
    decode_s = (time.perf_counter() - clock) / max(1, len(segments))
    chunks = [TrackChunk(section, decode_s, index, skip) for index, skip in enumerate(skipped or [False])]
    audio = pack(segments) if segments else pack([None])
    return to_table(chunks, TrackChunk).append_column(MIX, audio)


def segments_of(section: TrackSection, job: Job, worker: Worker) -> tuple[list[np.ndarray], list[bool]]:
    """Each float32 (channels, segment), level taken off, and whether the graphs skip it."""
    track = section.track
    chunks = job.sections(track.length)[section.index].chunks
    start, stop = context(chunks, track.length)
    with worker.open_source(track.uri, track.etag, job.limits, job.sample_rate) as reader:
        mix = np.concatenate(list(reader.blocks(start, stop)), axis=1)
    flat = normalize(mix, track.level, job.contracts[section.contract].level)
    skipped = [job.options.skip_silence and is_silent(mix, chunk, start) for chunk in chunks]
    return [cut(flat, chunk, start) for chunk in chunks], skipped
