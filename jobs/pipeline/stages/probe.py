"""probe: checks and decodes each track once, for its length and loudness, which chunk 1 needs already."""

import time
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.arrow import from_table, to_table
from jobs.pipeline.job import Job
from jobs.pipeline.output.paths import check_key
from jobs.pipeline.progress import Live
from jobs.pipeline.records import Encoded, Failure, ListedTrack, Source, Track
from jobs.pipeline.stages.worker import Worker
from separation.errors import SourceUnreachable, TrackError
from separation.level import LevelMeter, warnings


def probe(listed: pa.Table, job: Job, worker: Worker) -> pa.Table:
    """Table of `ListedTrack` -> table of `Track`."""
    return to_table([probe_track(track, job, worker) for track in from_table(ListedTrack, listed)], Track)


def tell_lengths(probed: pa.Table, job: Job) -> Live:
    """The lengths that were found; a track in error has none."""
    lengths = probed["length"].drop_null()
    return Live(probed=len(lengths), probed_s=(pc.sum(lengths).as_py() or 0) / job.sample_rate)


def probe_track(listed: ListedTrack, job: Job, worker: Worker) -> Track:
    started_at, clock = datetime.now(UTC), time.perf_counter()
    failure, noticed = listed.failure, list[str]()
    source, encoded, measured = None, None, None
    if failure is None:
        try:
            check_key(listed, job)
            found = worker.sources.stat(listed.uri)
            source = Source(found.bytes, found.etag)
            job.limits.check_size(listed.uri, found.bytes)
            with worker.open_source(listed.uri, found.etag, job.limits, job.sample_rate) as reader:
                encoded = Encoded(reader.sample_rate_hz, reader.channels)
                meter = LevelMeter()
                for block in reader.blocks():
                    meter.add(block)
            measured = meter.level()
            noticed = [*reader.warnings, *warnings(measured)]
        except (TrackError, SourceUnreachable) as error:
            failure = Failure.of(error)
    return Track(
        track_id=listed.track_id,
        uri=listed.uri,
        failure=failure,
        warnings=tuple(noticed),
        source=source,
        encoded=encoded,
        measured=measured,
        probe_s=None if listed.failure else time.perf_counter() - clock,
        started_at=started_at,
    )
