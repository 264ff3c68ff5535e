"""What is left of a catalogue: its tracks minus those that the output's tracks table has."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.catalogue import reading
from jobs.pipeline.catalogue.reading import Catalogue
from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from jobs.pipeline.output import run_record, tables
from separation.errors import UsageError
from separation.settings import Settings, mixture
from separation.store.objects import Store


@dataclass(frozen=True, slots=True)
class RemainingWork:
    """How many tracks there are and are done, and those to separate."""

    total: int
    left_out: str  # which files of the catalogue's folder are no tracks
    done: int
    failed: int  # errors of earlier runs, which stay
    again: pa.ChunkedArray  # track ids to separate once more, whose rows are removed first
    pending: pa.Table

    def describe(self) -> str:
        left_out = f"; left out: {self.left_out}" if self.left_out else ""
        return (
            f"catalogue: {self.total} tracks, {self.done} done, {self.failed} failed, "
            f"{self.pending.num_rows} left{left_out}"
        )


def find_work(found: Catalogue, job: Job, *, force: bool, retry_errors: bool) -> RemainingWork:
    """The catalogue minus what the tracks table holds; the stems are not listed."""
    refuse_mixture(found, job, force=force)
    known = known_tracks(found, job.output, job.store)
    is_error = pc.equal(known["status"], "error")
    if force:
        again, kept = known, known.slice(0, 0)
    elif retry_errors:
        again, kept = known.filter(is_error), known.filter(pc.invert(is_error))
    else:
        again, kept = known.slice(0, 0), known
    failed = pc.sum(pc.equal(kept["status"], "error")).as_py() or 0
    return RemainingWork(
        total=found.tracks.num_rows,
        left_out=found.describe_left_out(),
        done=kept.num_rows - failed,
        failed=failed,
        again=again["track_id"],
        pending=reading.pending(found.tracks, kept["track_id"]),
    )


def refuse_mixture(found: Catalogue, job: Job | JobRequest, *, force: bool) -> None:
    """Raises `UsageError` if the output holds tracks under other models, precision, engine or options.

    `force` allows that where it does every one of them again. The run record is read in any case, which shows
    that the store answers; the tables only if it differs, as those of ten million tracks take minutes.
    """
    record = run_record.read(job.output, job.store)
    differing = record.made_with.differences(Settings.of(job)) if record else []
    if not differing:
        return
    stored = tables.read_table(job.output, "tracks", job.store, ["track_id"])
    outside = reading.pending(stored, found.tracks["track_id"])
    if not stored.num_rows or (force and not outside.num_rows):
        return
    example = outside["track_id"][0].as_py() if outside.num_rows else ""
    raise UsageError(mixture(job.output, "--output", differing, outside.num_rows, example, force))


def known_tracks(found: Catalogue, output: str, store: Store) -> pa.Table:
    """Ids and states of the catalogue's tracks that are in the tracks table."""
    known = tables.read_table(output, "tracks", store, ["track_id", "status"])
    return known.filter(pc.is_in(known["track_id"], value_set=found.tracks["track_id"]))
