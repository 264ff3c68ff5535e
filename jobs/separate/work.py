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
    known = known_tracks(found, job.output, job.store)
    if known.num_rows and not force:
        run_record.refuse_mixture(job)
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


def refuse_mixture(found: Catalogue, request: JobRequest, *, force: bool) -> None:
    """Raises `UsageError` if the output holds tracks of the catalogue under other models or settings.

    `force` allows that. The run record is read in any case, which shows that the store answers; the tables
    only if it differs, as those of ten million tracks take minutes.
    """
    try:
        run_record.refuse_mixture(request)
    except UsageError:
        if not force and known_tracks(found, request.output, request.store).num_rows:
            raise


def known_tracks(found: Catalogue, output: str, store: Store) -> pa.Table:
    """Ids and states of the catalogue's tracks that are in the tracks table."""
    known = tables.read_table(output, "tracks", store, ["track_id", "status"])
    return known.filter(pc.is_in(known["track_id"], value_set=found.tracks["track_id"]))
