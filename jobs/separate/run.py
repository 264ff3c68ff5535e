"""The job from its arguments to its exit code: checks, the cluster, the work, what is printed."""

import argparse
import os

import pyarrow.compute as pc

from jobs.pipeline import dataset, job_request, ray_session
from jobs.pipeline.catalogue.reading import Catalogue, read_catalogue
from jobs.pipeline.catalogue.shared_stems import refuse_shared_stems
from jobs.pipeline.cost import estimate
from jobs.pipeline.driver import SourcesUnreachable, run
from jobs.pipeline.job import Job
from jobs.pipeline.job_request import JobRequest
from jobs.pipeline.output import tables
from jobs.pipeline.output.lease import Lease
from jobs.pipeline.output.run_state import RunLog
from jobs.pipeline.progress import Counts, Events
from jobs.separate.work import RemainingWork, find_work, refuse_mixture
from separation.arguments import check_folder
from separation.console import LineConsole, counted
from separation.program import ExitCode
from separation.store.objects import Store

EXAMPLES = 5  # of each kind of error in the summary; the tracks table has all


def separate(args: argparse.Namespace, events: Events, store: Store) -> int:
    """What needs no cluster is checked before Ray starts, and nothing is written before the plan fits."""
    request = job_request.from_arguments(args, store)
    events.phase("reading the catalogue", args.input)
    found = read_catalogue(args.input, request.output, store)
    events.say(f"catalogue: {counted(found.tracks.num_rows, 'track')}")
    check_folder(request.output)
    refuse_shared_stems(found.tracks, request.options, request.bag.stems)
    refuse_mixture(found, request, force=args.force)
    events.phase("starting Ray", os.environ.get("RAY_ADDRESS") or "here, unless it runs already")
    with ray_session.connect():
        return on_cluster(found, args, request, events)


def on_cluster(found: Catalogue, args: argparse.Namespace, request: JobRequest, events: Events) -> int:
    job = request.job(dataset.cluster_nodes())
    if not args.dry_run:
        with Lease(job.output, job.run_id, job.store, events.say) as lease:
            return work_through(found, args, request, job, lease, events)
    work = find_work(found, job, force=args.force, retry_errors=args.retry_errors)
    job = for_what_is_left(work, request, job, events)
    events.console.result(work.describe())
    for line in estimate.of_catalogue(job, work.pending.num_rows, args.benchmark):
        events.console.result(line)
    return ExitCode.DONE


def for_what_is_left(work: RemainingWork, request: JobRequest, job: Job, events: Events) -> Job:
    """The job with sections for the tracks that are left; prints its plan."""
    job = request.for_tracks(job, work.pending.num_rows)
    for line in job.describe():
        events.say(line)
    return job


def work_through(
    found: Catalogue,
    args: argparse.Namespace,
    request: JobRequest,
    job: Job,
    lease: Lease,
    events: Events,
) -> int:
    work = find_work(found, job, force=args.force, retry_errors=args.retry_errors)
    job = for_what_is_left(work, request, job, events)
    events.say(work.describe())
    tables.forget(job.output, work.again, job.store)
    tables.drop_uncommitted(job.output, job.store)
    with RunLog(job, vars(args), work.total, dataset.cluster_nodes, ray_session.cause) as log:
        log.counts = counts = Counts(work.pending.num_rows)
        if work.pending.num_rows:
            events.phase("loading models", counted(len(job.graphs), "graph"))
            run(work.pending, job, events, check=lease.check, counts=counts)
        failed = work.failed + counts.failed
        if failed:
            show_errors(job, events.console)
        events.console.result(f"stems and tables: {job.output}")
        if counts.unreachable:
            raise SourcesUnreachable(counts.unreachable)
        log.exit_code = ExitCode.SOME_ERRORS if failed else ExitCode.DONE
    return log.exit_code


def show_errors(job: Job, console: LineConsole) -> None:
    """Prints how many tracks each kind of error has, and a few of them."""
    columns = ["track_id", "uri", "status", "error_kind", "error"]
    errors = tables.read_table(job.output, "tracks", job.store, columns).filter(pc.field("status") == "error")
    for count in pc.value_counts(errors["error_kind"]).to_pylist():
        number, kind = count["counts"], count["values"]
        console.result(f"{counted(number, 'track')} {kind}:")
        for row in errors.filter(pc.field("error_kind") == kind).slice(0, EXAMPLES).to_pylist():
            console.result(f"  {called(row['track_id'], row['uri'])}: {row['error']}")
        if number > EXAMPLES:
            console.result(f"  and {number - EXAMPLES} more")


def called(track_id: str, uri: str) -> str:
    """A track by its uri, and by its id where the uri does not tell that."""
    if not uri or not track_id:
        return uri or track_id or "a row with neither track_id nor uri"
    return uri if uri.endswith(track_id) else f"{track_id} ({uri})"
