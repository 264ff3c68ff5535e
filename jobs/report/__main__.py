"""python -m jobs.report: an output's tables -> a page about a job, finished or running, or a benchmark.

Needs no Ray and no catalogue: it reads the tables, run.json and the stems of a few tracks.
"""

import argparse
import sys
from collections.abc import Sequence

from separation import program
from separation.arguments import non_negative_float, uri

PROG = "python -m jobs.report"


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    return program.run(parser, work, arguments, prog)


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    parser = program.Parser(
        prog=prog,
        description="Writes a page about an output: throughput, where the time went, errors, tracks to hear.",
        epilog="Exit codes: 0 the page is written; 2 it could not be.",
    )
    parser.add_argument(
        "--output",
        required=True,
        type=uri,
        metavar="URI",
        help="the output folder of jobs.separate or jobs.benchmark",
    )
    parser.add_argument(
        "--format",
        choices=("html", "md"),
        default="html",
        help="file format of the page; md has no sounds (default: %(default)s)",
    )
    parser.add_argument(
        "--interactive",
        action="store_true",
        help="add a table of the tracks that sorts, searches and filters; it is the page's only script",
    )
    parser.add_argument(
        "--price",
        type=non_negative_float,
        metavar="USD",
        help="price of a node-hour, where run.json has none or another",
    )
    parser.add_argument(
        "--to",
        type=uri,
        metavar="PATH",
        help="path or URI of the page; errors.csv is written beside it (default: report.html or report.md at "
        "the output)",
    )
    return parser


def work(args: argparse.Namespace, quiet: bool) -> int:
    from jobs.report.run import write_report
    from separation.console import LineConsole
    from separation.store.objects import Store
    from separation.store.retry import RetryPolicy

    return write_report(args, LineConsole(quiet=quiet), Store(RetryPolicy.from_environment()))


if __name__ == "__main__":
    sys.exit(main())
