"""The verification from its arguments to its exit code: every track accounted for, then what to repair."""

import argparse
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import ray

from jobs.pipeline import ray_session
from jobs.pipeline.catalogue.reading import read_catalogue
from jobs.pipeline.output import run_record, tables
from jobs.pipeline.output.folder import OutputFolder
from jobs.pipeline.output.lease import Lease
from jobs.pipeline.output.run_record import RunRecord
from jobs.verify import leftovers, stored_stems
from jobs.verify import sweep as sweeping
from jobs.verify.problems import Kind, Problems
from jobs.verify.reconcile import find_duplicates, reconcile_tables
from jobs.verify.stored_stems import Sample
from separation.arguments import absolute
from separation.console import LineConsole, counted
from separation.errors import UsageError
from separation.program import ExitCode
from separation.store.errors import NotOffered
from separation.store.objects import Store


def verify(args: argparse.Namespace, console: LineConsole, store: Store) -> int:
    output, sample = absolute(args.output), sample_of(args.sample, args.seed)
    record = run_record.read(output, store) or RunRecord()
    if not (read_from := args.input or record.input):
        raise UsageError(f"{output} has no run.json that names its catalogue; give the catalogue as --input")
    folder = OutputFolder.of(record, output, store)
    ids = read_catalogue(read_from, output, store).tracks["track_id"]
    with Problems(since=datetime.now(UTC) - timedelta(hours=args.older_than)) as problems:
        found = reconcile_tables(folder, ids, record.made_with, problems)
        console.result(
            f"catalogue: {found.catalogue} tracks = {found.ok} ok + {found.errors} error + "
            f"{found.pending} pending"
            + (f"; {found.unlisted} others in the tables" if found.unlisted else "")
        )
        find_duplicates(folder, found, problems)
        sizes = stored_stems.list_sizes(folder, found, problems)
        reads_stems = sample.rate != 0.0 or (sizes == stored_stems.NOT_LISTED).any()
        with ray_session.connect() if reads_stems else nullcontext():
            resources = ray.cluster_resources() if reads_stems else {}
            in_flight = max(2, int(4 * resources.get("CPU", 1.0)))
            read = stored_stems.check_stems(folder, found, sizes, sample, problems, in_flight)
        console.result(
            f"stems: {len(found.stems)} files of ok tracks, every size compared, {read.stems} read again "
            f"({read.bytes / 1e6:,.1f} MB)"
        )
        leftovers.find_parts(folder, ids, problems)
        try:
            leftovers.find_uploads(folder, problems)
        except NotOffered as error:
            console.result(f"unfinished uploads: not looked for, as the store lists none: {error}")
        mended = mend(args, folder, problems, read.hidden, console)
        for line in describe(problems, mended, args.older_than):
            console.result(line)
        if problems.counts:
            console.result(f"all of them: {problems.publish(output, store)}")
    return ExitCode.SOME_ERRORS if problems.counts.keys() - mended else ExitCode.DONE


def mend(
    args: argparse.Namespace, folder: OutputFolder, problems: Problems, hidden: int, console: LineConsole
) -> set[Kind]:
    """What `--sweep` and `--repair` say; the kinds that are mended."""
    if not (args.sweep or args.repair) or not problems.counts:
        return set()
    written = tables.last_written(folder.uri, folder.store)
    if written and written.astimezone(UTC) > problems.since:
        raise UsageError(
            f"{folder.uri}: its tables were written at {written:%Y-%m-%d %H:%M:%S} UTC, and a job may be "
            f"running: nothing was removed. --older-than 0 says that none is"
        )
    if hidden and args.sweep:
        raise UsageError(
            f"{folder.uri}: {hidden} stems are there under other names than the listing has, so that "
            "orphans cannot be told from them: nothing was removed"
        )
    if (damaged := problems.counts[Kind.DAMAGED_TABLE]) and args.sweep:
        raise UsageError(
            f"{folder.uri}: {counted(damaged, 'file')} of the tables cannot be read, so that orphans cannot "
            "be told from their stems: nothing was removed. Use --repair first, and alone"
        )
    mended: set[Kind] = set()
    with Lease(folder.uri, "verify", folder.store, console.print):  # no job writes meanwhile
        if args.sweep:
            sweeping.sweep(folder, problems)
            mended.update(sweeping.SWEPT)
        if args.repair:
            sweeping.repair(folder, problems)
            mended.update(sweeping.REPAIRED)
    return mended


def describe(problems: Problems, mended: set[Kind], older_than: float) -> list[str]:
    """A line for each kind of problem."""
    lines = []
    for kind in Kind:
        if number := problems.counts[kind]:
            example = problems.examples[kind]
            said = [example.track_id, example.stem or example.uri, example.found]
            done = "" if kind not in mended else ", forgotten" if kind in sweeping.REPAIRED else ", removed"
            lines.append(f"{kind:<18} {number:>9}{done}: {', '.join(each for each in said if each)}")
    if problems.recent:
        young = ", ".join(f"{number} {kind}" for kind, number in problems.recent.items())
        lines.append(f"younger than {older_than:g} hours, and perhaps of a job that runs: {young}")
    return lines or ["no problems"]


def sample_of(wanted: float, seed: int) -> Sample:
    """A float is the share of the stems to read, a whole number how many of them; 0 reads none."""
    if isinstance(wanted, int) and wanted:
        return Sample(seed, count=wanted)
    return Sample(seed, rate=float(wanted))
