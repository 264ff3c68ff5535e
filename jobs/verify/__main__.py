"""python -m jobs.verify: whether every track of a catalogue is right or explained at an output."""

import argparse
import sys
from collections.abc import Sequence

from separation import program
from separation.arguments import non_negative_float, non_negative_int, share_or_count, uri

PROG = "python -m jobs.verify"
OLDER_THAN_HOURS = 24.0  # no track takes a day from its first byte at the output to its row


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    return program.run(parser, work, arguments, prog)


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    parser = program.Parser(
        prog=prog,
        description="Accounts for every track at an output, and compares the stems with the tables.",
        epilog="Exit codes: 0 all is right; 1 there are problems; 2 it could not run.",
    )
    parser.add_argument(
        "--output", required=True, type=uri, metavar="URI", help="the output folder of jobs.separate"
    )
    parser.add_argument(
        "--input", type=uri, metavar="URI", help="the catalogue (default: the one that run.json names)"
    )
    parser.add_argument(
        "--sample",
        type=share_or_count,
        default=1.0,
        metavar="RATE|N",
        help="read a share of the stems again, such as 0.01, or a number of them, such as 500, or none: 0 "
        "(default: all); sizes are always compared",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="seed of the sample (default: %(default)s)",
    )
    parser.add_argument(
        "--sweep", action="store_true", help="remove orphans, unfinished uploads and duplicate rows"
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="forget tracks whose stems are missing, damaged or of other settings, so that the next run "
        "separates them again",
    )
    parser.add_argument(
        "--older-than",
        type=non_negative_float,
        default=OLDER_THAN_HOURS,
        metavar="HOURS",
        help="ignore files newer than this, which a running job may own (default: %(default)g)",
    )
    return parser


def work(args: argparse.Namespace, quiet: bool) -> int:
    from jobs.verify.run import verify
    from separation.console import LineConsole
    from separation.store.objects import Store
    from separation.store.retry import RetryPolicy

    return verify(args, LineConsole(quiet=quiet), Store(RetryPolicy.from_environment()))


if __name__ == "__main__":
    sys.exit(main())
