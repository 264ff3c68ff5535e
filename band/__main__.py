"""python -m band: a catalogue of seeded songs, or a split of them with their stems."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from separation import program
from separation.arguments import check_folder, non_negative_int, positive_int, seconds_range
from separation.errors import UsageError
from separation.program import ExitCode

PROG = "python -m band"


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    return program.run(parser, work, arguments, prog)


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    from band.song import SPLITS

    parser = program.Parser(
        prog=prog,
        description="Writes a catalogue of seeded songs, or a split of them with their stems.",
        epilog="Exit codes: 0 all songs written; 2 refused or stopped.",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the songs; their paths are printed"
    )
    parser.add_argument(
        "--tracks", type=positive_int, default=7, metavar="N", help="number of songs (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds",
        type=seconds_range,
        default=(30.0, 30.0),
        metavar="S",
        help="length of a song in seconds: 30, or 15-40 (default: 30)",
    )
    parser.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="K",
        help="seed of the first song; with --musdb, its number in the split (default: %(default)s)",
    )
    parser.add_argument("--broken", action="store_true", help="add one file that no decoder can read")
    parser.add_argument(
        "--musdb",
        choices=tuple(SPLITS),
        metavar="SPLIT",
        help=f"write songs of this split ({', '.join(SPLITS)}) with their stems, in folders as MUSDB18-HQ "
        "has them",
    )
    return parser


def work(args: argparse.Namespace, quiet: bool) -> int:
    if args.musdb and args.broken:
        raise UsageError("--broken is for a catalogue, not for --musdb")
    check_folder(args.out)
    for path in write(args):
        print(path)
    return ExitCode.DONE


def write(args: argparse.Namespace) -> list[Path]:
    from band.catalogue import draw_specs, write_broken, write_catalogue
    from band.musdb import write_split

    if args.musdb:
        return write_split(args.out, args.musdb, args.tracks, args.seconds, first=args.seed)
    shortest, longest = args.seconds
    specs = draw_specs(args.tracks, shortest, longest, seed=args.seed)
    paths = write_catalogue(args.out, args.seed, specs)
    return [*paths, write_broken(args.out)] if args.broken else paths


if __name__ == "__main__":
    sys.exit(main())
