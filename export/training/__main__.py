"""python -m export.training --out DIR: trains the demonstration bag, or continues where it was stopped.

First a base model on all stems, then one specialist per stem, fine-tuned from it with only the stem's row in
the loss, then the bag in demucs's format. Stopped at any time, it loses at most a minute. With --start there
is no base model: the specialists of an earlier bag are trained on, and stems that are not trained stay
unchanged.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from export.htdemucs.arguments import SOURCES
from separation import program
from separation.arguments import check_folder, non_negative_float, non_negative_int, positive_int
from separation.program import ExitCode

PROG = "python -m export.training"


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    return program.run(parser, work, arguments, prog)


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    parser = program.Parser(
        prog=prog,
        description="Trains the demonstration bag, or continues where it was stopped.",
        epilog="Exit codes: 0 all is trained; 2 refused, or stopped by --seconds and can be run again.",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for states, songs and the bag"
    )
    parser.add_argument(
        "--songs",
        type=positive_int,
        default=400,
        metavar="N",
        help="songs of the training set (default: %(default)s)",
    )
    parser.add_argument(
        "--steps",
        type=positive_int,
        default=3000,
        metavar="N",
        help="training steps of the base model (default: %(default)s)",
    )
    parser.add_argument(
        "--fine-steps",
        type=positive_int,
        default=800,
        metavar="N",
        help="training steps of every specialist (default: %(default)s)",
    )
    parser.add_argument(
        "--start", metavar="BAG", help="folder with a bag of these sizes whose specialists are trained on"
    )
    parser.add_argument(
        "--stems",
        nargs="+",
        default=list(SOURCES),
        choices=SOURCES,
        help="specialists to train here (default: all)",
    )
    parser.add_argument(
        "--validate",
        type=non_negative_int,
        default=6,
        metavar="N",
        help="score every model on N songs that it was not trained on (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="seed of weights and batches (default: %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default: %(default)s)")
    parser.add_argument(
        "--threads",
        type=positive_int,
        default=2,
        metavar="N",
        help="threads on a CPU (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=non_negative_float,
        default=math.inf,
        help="stop after so long, to be continued by the next run (default: never)",
    )
    return parser


def work(args: argparse.Namespace, quiet: bool) -> int:
    check_folder(args.out)
    from export.training.train import train

    return ExitCode.DONE if train(args) else ExitCode.REFUSED


if __name__ == "__main__":
    sys.exit(main())
