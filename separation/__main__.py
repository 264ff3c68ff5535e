"""python -m separation: tracks on one machine, without Ray."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from separation import options as opts
from separation.audio import limits as limit_options
from separation.audio.mixes import read_mix
from separation.audio.stem_files import deliver
from separation.errors import SeparationError, TrackError, UsageError
from separation.local import LocalSeparator, default_cache
from separation.models.specialist import PROVIDERS
from separation.options import Options
from separation.store.redact import shown

DONE, SOME_ERRORS, REFUSED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        options = opts.from_arguments(args)
        names = [Path(track).name for track in args.tracks]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"tracks of one name would overwrite each other: {', '.join(sorted(twice))}")
        separator = LocalSeparator(args.models, options, args.provider, args.threads, default_cache())
    except SeparationError as error:
        console.print(f"error: {shown(str(error))}", style="red", markup=False)
        return REFUSED
    failed = 0
    for uri, name in zip(args.tracks, names, strict=True):
        try:
            separate_file(uri, name, separator, options, args, console)
        except TrackError as error:
            failed += 1
            console.print(f"error: {shown(str(error))}", style="red", markup=False)
        except SeparationError as error:
            console.print(f"error: {shown(str(error))}", style="red", markup=False)
            return REFUSED
    return SOME_ERRORS if failed else DONE


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m separation", description="Separates tracks into stems on this machine, without Ray."
    )
    parser.add_argument("tracks", nargs="+", metavar="TRACK", help="audio files: paths or fsspec URIs")
    parser.add_argument(
        "--models", required=True, metavar="DIR", help="a model folder (see python -m export)"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="where the stems go: OUT/TRACK/STEM.wav")
    parser.add_argument("--provider", choices=PROVIDERS, default="auto", help="(%(default)s)")
    parser.add_argument(
        "--threads",
        type=int,
        default=os.cpu_count() or 1,
        help="that the specialists share; up to four run side by side (all cores: %(default)s)",
    )
    opts.add_arguments(parser)
    limit_options.add_arguments(parser)
    return parser


def separate_file(
    uri: str,
    name: str,
    separator: LocalSeparator,
    options: Options,
    args: argparse.Namespace,
    console: Console,
) -> None:
    mix, notes = read_mix(uri, limit_options.from_arguments(args))
    for note in notes:
        console.print(f"{name}: {note}", style="yellow", markup=False, highlight=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(shown(name), total=separator.chunks(mix.shape[1]))
        stems = separator.separate(mix, on_chunk=lambda stem: progress.advance(task))
    files, factor = deliver(stems, name, mix.shape[1], options, args.out)
    for file in files:
        console.print(f"{shown(file.uri)}  peak {file.peak:.3f}", markup=False, highlight=False)
    if factor != 1:
        console.print(f"{shown(name)}: all stems scaled by {factor:.4f} so that none clips", markup=False)


if __name__ == "__main__":
    sys.exit(main())
