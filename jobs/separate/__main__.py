"""python -m jobs.separate: separates a catalogue of tracks into stems and tables, on a Ray cluster."""

import argparse
import sys
from collections.abc import Sequence

from separation import program
from separation.arguments import non_negative_float, uri

PROG = "python -m jobs.separate"


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    return program.run(parser, work, arguments, prog)


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    from jobs.pipeline import job_request

    parser = program.Parser(
        prog=prog,
        description="Separates a catalogue of tracks into stems on a Ray cluster.",
        epilog="Exit codes: 0 all tracks done; 1 some tracks are errors; 2 refused, stopped or sources "
        "not reached, run again.",
    )
    parser.add_argument(
        "--input",
        required=True,
        type=uri,
        metavar="URI",
        help="a prefix, a glob, or a manifest (.parquet, .csv, .jsonl with uri, perhaps track_id, or .m3u)",
    )
    parser.add_argument(
        "--output", required=True, type=uri, metavar="URI", help="folder for the stems and the tables"
    )
    parser.add_argument(
        "--models",
        required=True,
        type=uri,
        metavar="URI",
        help="a model folder (see python -m export), or demo",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and what is left, and stop")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--retry-errors", action="store_true", help="try tracks that are errors again")
    again.add_argument("--force", action="store_true", help="separate every track again")
    parser.add_argument(
        "--price",
        type=non_negative_float,
        metavar="USD",
        help="price of a node-hour, for run.json and the report",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print phases, progress and the end as one JSON object per line on stdout; text goes to stderr",
    )
    parser.add_argument(
        "--benchmark",
        type=uri,
        metavar="URI",
        help="benchmark that --dry-run estimates from (default: the output's last)",
    )
    job_request.add_arguments(parser)
    return parser


def work(args: argparse.Namespace, quiet: bool) -> int:
    from jobs.pipeline.progress import Events
    from separation.console import LineConsole

    events = Events(LineConsole(stderr=args.json, quiet=quiet), sys.stdout if args.json else None)
    events.phase("reading options and models")  # before Ray, which takes seconds to import

    from jobs.separate.run import separate
    from separation.store.objects import Store
    from separation.store.retry import RetryPolicy

    return events.to_the_end(lambda: separate(args, events, Store(RetryPolicy.from_environment())))


if __name__ == "__main__":
    sys.exit(main())
