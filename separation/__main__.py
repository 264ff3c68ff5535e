"""python -m separation: separates tracks into stems on this machine, without Ray."""

import argparse
import os
import sys
from collections.abc import Sequence

from separation import program
from separation.arguments import positive_int, uri

PROG = "python -m separation"


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    return program.run(parser, work, arguments, prog)


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    from separation import options
    from separation.audio import limits
    from separation.models.graph import PROVIDERS

    parser = program.Parser(
        prog=prog,
        description="Separates tracks into stems on this machine, without Ray. Tracks that DIR has already "
        "are skipped; one that cannot be separated is one line on stderr, and the others go on.",
        epilog="Exit codes: 0 all tracks separated; 1 some tracks are errors; 2 refused, stopped or "
        "sources not reached.",
    )
    parser.add_argument(
        "tracks",
        nargs="+",
        type=uri,
        metavar="TRACK",
        help="audio files, folders of them or globs: paths or fsspec URIs",
    )
    parser.add_argument(
        "--models",
        required=True,
        type=uri,
        metavar="DIR",
        help="a model folder (see python -m export), or demo",
    )
    parser.add_argument(
        "--out",
        required=True,
        type=uri,
        metavar="DIR",
        help="folder for the stems, which become DIR/TRACK/STEM.wav; TRACK is a file's name, or its path "
        "below its folder",
    )
    parser.add_argument("--force", action="store_true", help="separate tracks that DIR has already again")
    parser.add_argument(
        "--provider", choices=PROVIDERS, default="auto", help="what runs the models (default: %(default)s)"
    )
    parser.add_argument(
        "--threads",
        type=positive_int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="CPU threads, shared by the models that run in parallel (default: all cores)",
    )
    options.add_arguments(parser)
    limits.add_arguments(parser)
    return parser


def work(args: argparse.Namespace, quiet: bool) -> int:
    from separation.console import LineConsole
    from separation.files.run import separate_files
    from separation.store.objects import Store
    from separation.store.retry import RetryPolicy

    results, notes = LineConsole(quiet=quiet), LineConsole(stderr=True, quiet=quiet)
    return separate_files(args, results, notes, Store(RetryPolicy.from_environment()))


if __name__ == "__main__":
    sys.exit(main())
