"""python -m jobs.evaluate: scores separated stems against the true ones, on a Ray cluster."""

import argparse
import sys
from collections.abc import Sequence

from separation import program
from separation.arguments import uri

PROG = "python -m jobs.evaluate"


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    return program.run(parser, work, arguments, prog)


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    parser = program.Parser(
        prog=prog,
        description="Scores stems against the true ones on a Ray cluster: museval's SDR, and SI-SDR.",
        epilog="Exit codes: 0 every stem scored; 1 some could not be; 2 refused or stopped, run again.",
    )
    parser.add_argument(
        "--reference",
        required=True,
        type=uri,
        metavar="URI",
        help="the true stems: folders as MUSDB18-HQ has them, or an output of jobs.separate",
    )
    parser.add_argument(
        "--estimates",
        required=True,
        action="append",
        type=uri,
        metavar="[NAME=]URI",
        help="an output of jobs.separate, or folders as the reference's; give several to compare them",
    )
    parser.add_argument(
        "--baseline", action="store_true", help="score the mixture too, as estimates called mix"
    )
    parser.add_argument(
        "--stems",
        default="",
        metavar="A,B",
        help="score only these stems; needed where the two sides have different ones (default: all)",
    )
    parser.add_argument(
        "--output", type=uri, metavar="URI", help="folder for scores.parquet (default: only print)"
    )
    return parser


def work(args: argparse.Namespace, quiet: bool) -> int:
    from jobs.evaluate.run import evaluate
    from separation.console import LineConsole
    from separation.store.objects import Store
    from separation.store.retry import RetryPolicy

    return evaluate(args, LineConsole(quiet=quiet), Store(RetryPolicy.from_environment()))


if __name__ == "__main__":
    sys.exit(main())
