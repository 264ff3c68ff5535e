"""python -m jobs.verify: whether every track of a catalogue is right or explained at an output.

Exit codes: 0, all is right; 1, there are problems; 2, it could not run.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayError

from jobs.pipeline import catalogue
from jobs.pipeline.arguments import place, uri
from jobs.pipeline.console import LineConsole
from jobs.pipeline.output import tables
from jobs.pipeline.output.lease import Lease
from jobs.report.facts import read_record
from jobs.separate.__main__ import cause
from jobs.verify import leftovers, reconcile, stored_stems
from jobs.verify import sweep as sweeping
from jobs.verify.name_hashes import marks
from jobs.verify.problems import Kind, Problems
from jobs.verify.reconcile import Place
from jobs.verify.stored_stems import Sample
from separation.errors import SeparationError, UsageError
from separation.store.errors import NotOffered

RIGHT, PROBLEMS, STOPPED = 0, 1, 2
OLDER_THAN_HOURS = 24.0  # no track takes a day from its first byte at the output to its row


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    console = LineConsole()
    try:
        return verify(args, console)
    except (SeparationError, RayError) as error:
        console.print(f"stopped: {cause(error)}")
    except Exception as error:  # Python's own exit code would be 1, which says that there are problems
        console.print_failure(error)
    return STOPPED


def verify(args: argparse.Namespace, console: LineConsole) -> int:
    output, sample = place(args.output), replace(args.sample, seed=args.seed)
    record = read_record(output)
    written_to, read_from = (record.get("arguments") or {}).get("output"), args.input or _input_of(record)
    if not read_from:
        raise UsageError(f"{output} has no run.json that names its catalogue; --input does")
    where = Place(output, place(written_to or output))
    ids = catalogue.read_catalogue(read_from).tracks["track_id"]
    with Problems(since=datetime.now(UTC) - timedelta(hours=args.older_than)) as problems:
        found = reconcile.count(where, ids, stems_of(record), problems)
        console.print(
            f"catalogue: {found.catalogue} tracks = {found.ok} ok + {found.errors} error + "
            f"{found.pending} pending" + (f"; {found.beside} others in the tables" if found.beside else "")
        )
        stored_stems.find_doubles(where, found, problems)
        sizes = stored_stems.list_stems(where, found, problems)
        cpus = 1.0
        if sample.rate != 0.0 or (sizes == stored_stems.UNSEEN).any():
            ray.init(logging_level="warning", log_to_driver=False)
            cpus = ray.cluster_resources().get("CPU", 1.0)
        read = stored_stems.reread(where, found, sizes, sample, problems, max(2, int(4 * cpus)))
        console.print(
            f"stems: {len(found.stems)} files of ok tracks, every size compared, {read.stems} read again "
            f"({read.bytes / 1e6:,.1f} MB)"
        )
        leftovers.find_parts(where, found, np.sort(marks(ids.to_pylist())), problems)
        try:
            leftovers.find_uploads(where, problems)
        except NotOffered as error:
            console.print(f"unfinished uploads: not looked for, as the store lists none: {error}")
        mended = mend(args, where, problems, read.elsewhere, console)
        for line in describe(problems, mended, args.older_than):
            console.print(line)
        if problems.counts:
            console.print(f"all of them: {problems.publish(output)}")
    return PROBLEMS if problems.counts.keys() - mended else RIGHT


def mend(
    args: argparse.Namespace, where: Place, problems: Problems, elsewhere: int, console: LineConsole
) -> set[Kind]:
    """What `--sweep` and `--repair` say; the kinds that are mended."""
    if not (args.sweep or args.repair) or not problems.counts:
        return set()
    written = tables.last_written(where.output)
    if written and written.astimezone(UTC) > problems.since:
        raise UsageError(
            f"{where.output}: its tables were written at {written:%Y-%m-%d %H:%M:%S} UTC, and a job may be "
            f"running: nothing was removed. --older-than 0 says that none is"
        )
    if elsewhere and args.sweep:
        raise UsageError(
            f"{where.output}: {elsewhere} stems are there under other names than the listing has, so that "
            "orphans cannot be told from them: nothing was removed"
        )
    mended: set[Kind] = set()
    with Lease(where.output, "verify", console.print):  # no job writes meanwhile
        if args.sweep:
            sweeping.sweep(where, problems)
            mended.update(sweeping.SWEPT)
        if args.repair:
            sweeping.repair(where, problems)
            mended.update(sweeping.REPAIRED)
    return mended


def describe(problems: Problems, mended: set[Kind], older_than: float) -> list[str]:
    """A line for each kind of problem."""
    lines = []
    for kind in Kind:
        if number := problems.counts[kind]:
            row = problems.examples[kind]
            said = [row["track_id"], row["stem"] or row["uri"], row["found"]]
            done = "" if kind not in mended else ", forgotten" if kind in sweeping.REPAIRED else ", removed"
            lines.append(f"{kind:<18} {number:>9}{done}: {', '.join(each for each in said if each)}")
    if problems.young:
        young = ", ".join(f"{number} {kind}" for kind, number in problems.young.items())
        lines.append(f"younger than {older_than:g} hours, and perhaps of a job that runs: {young}")
    return lines or ["no problems"]


def _input_of(record: dict[str, Any]) -> str | None:
    return (record.get("arguments") or {}).get("input")


def stems_of(record: dict[str, Any]) -> set[str] | None:
    """The stems that an ok track has, as the last run's settings say; None if they do not."""
    settings = record.get("settings") or {}
    if two := (settings.get("options") or {}).get("two_stems"):
        return {two, f"no_{two}"}
    return set(settings.get("models") or ()) or None


def sample_of(text: str) -> Sample:
    """`0.01` of the stems, or `500` of them; 0 reads none."""
    if "." in text:
        rate = float(text)
        if not 0 <= rate <= 1:
            raise ValueError(text)
        return Sample(0, rate=rate)
    if (number := int(text)) < 0:
        raise ValueError(text)
    return Sample(0, count=number) if number else Sample(0, rate=0.0)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.verify",
        description="Accounts for every track at an output, and compares the stems with the tables.",
        epilog="Exit codes: 0 all is right; 1 there are problems; 2 it could not run.",
    )
    parser.add_argument(
        "--output", required=True, type=uri, metavar="URI", help="the output folder of jobs.separate"
    )
    parser.add_argument(
        "--input", type=uri, metavar="URI", help="the catalogue (the one that run.json names)"
    )
    parser.add_argument(
        "--sample",
        type=sample_of,
        default=Sample(0, rate=1.0),
        metavar="RATE|N",
        help="read again 0.01 of the stems, or 500 of them, or 0 (all); sizes are always compared",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sample (%(default)s)")
    parser.add_argument(
        "--sweep", action="store_true", help="remove orphans, unfinished uploads and duplicate rows"
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="forget tracks whose stems are missing or damaged: the next run does them again",
    )
    parser.add_argument(
        "--older-than",
        type=float,
        default=OLDER_THAN_HOURS,
        metavar="HOURS",
        help="what is younger may be of a job that runs, and is left (%(default)g)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
