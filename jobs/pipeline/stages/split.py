"""split: a track into sections, for every grid."""

import pyarrow as pa

from jobs.pipeline.arrow import from_table, to_table
from jobs.pipeline.job import Job
from jobs.pipeline.records import Track, TrackSection
from jobs.pipeline.stages.worker import Worker


def split(tracks: pa.Table, job: Job, worker: Worker) -> pa.Table:
    """Table of `Track` -> table of `TrackSection`."""
    sections = [section for track in from_table(Track, tracks) for section in split_track(track, job)]
    return to_table(sections, TrackSection)


def split_track(track: Track, job: Job) -> list[TrackSection]:
    """A track in error or without a sound is one section without chunks."""
    if track.failure or track.is_silent:
        return [TrackSection(track, index=0, sections=1, chunks=0)]
    sections = job.sections(track.length)
    return [
        TrackSection(track, section.index, len(sections), len(section.chunks), section.contract)
        for section in sections
    ]
