"""python -m separation: tracks on one machine, without Ray."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from separation import options as opts
from separation.audio import limits as limit_options
from separation.audio.decoding import open_decoding
from separation.audio.limits import Limits
from separation.audio.stem_files import Blocks, Complement, deliver
from separation.blocks import reblock
from separation.errors import SeparationError, TrackError, UsageError
from separation.grid import plan_chunks, stride_of
from separation.level import measure, warnings
from separation.models.bag import Bag, fetch, read_bag
from separation.models.specialist import PROVIDERS, Specialist
from separation.options import Options
from separation.separator import separate, side_by_side
from separation.store.redact import shown
from separation.store.source_cache import SourceCache

DONE, SOME_ERRORS, REFUSED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    console = Console(stderr=True)
    try:
        options = opts.from_arguments(args)
        names = [Path(track).name for track in args.tracks]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(f"tracks of one name would overwrite each other: {', '.join(sorted(twice))}")
        bag = read_bag(args.models)
        cache = Path(tempfile.gettempdir()) / f"stemfleet-{os.getuid()}"
        specialists = load(bag, options.specialists(bag.stems), args.provider, args.threads, cache)
    except SeparationError as error:
        console.print(f"error: {shown(str(error))}", style="red", markup=False)
        return REFUSED
    failed = 0
    for uri, name in zip(args.tracks, names, strict=True):
        try:
            separate_file(uri, name, specialists, options, args, console)
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


def load(bag: Bag, stems: Sequence[str], provider: str, threads: int, cache: Path) -> dict[str, Specialist]:
    """A session for each stem; `threads` are shared by those that run side by side."""
    each = threads // side_by_side(threads, len(stems))
    return {
        stem: Specialist(
            fetch(bag, stem, cache / "models"),
            stem,
            bag.stems,
            provider=provider,
            threads=each,
            sha256=bag.specialists[stem].sha256,
            cache=cache / "optimized",
        )
        for stem in stems
    }


def separate_file(
    uri: str,
    name: str,
    specialists: dict[str, Specialist],
    options: Options,
    args: argparse.Namespace,
    console: Console,
) -> None:
    mix, notes = read(uri, limit_options.from_arguments(args))
    for note in notes:
        console.print(f"{name}: {note}", style="yellow", markup=False, highlight=False)
    chunks = sum(
        len(plan_chunks(mix.shape[1], stride_of(options.overlap), shift)) for shift in options.grid_shifts
    )
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(shown(name), total=chunks * len(specialists))
        stems = separate(
            mix,
            specialists,
            overlap=options.overlap,
            shifts=options.grid_shifts,
            at_once=side_by_side(args.threads, len(specialists)),
            on_chunk=lambda stem: progress.advance(task),
        )
    outputs: dict[str, Blocks] = dict(stems)
    if options.two_stems:
        outputs[f"no_{options.two_stems}"] = Complement(list(reblock([mix])), stems[options.two_stems])
    files, factor = deliver(outputs, name, mix.shape[1], options, args.out)
    for file in files:
        console.print(f"{shown(file.uri)}  peak {file.peak:.3f}", markup=False, highlight=False)
    if factor != 1:
        console.print(f"{shown(name)}: all stems scaled by {factor:.4f} so that none clips", markup=False)


def read(uri: str, limits: Limits) -> tuple[np.ndarray, list[str]]:
    """All of a track, float32 (2, samples) at 44.1 kHz, and the warnings about it."""
    with tempfile.TemporaryDirectory(prefix="stemfleet-") as folder:
        sources = SourceCache(folder, max_bytes=0)
        found = sources.stat(uri)
        limits.check_size(uri, found.bytes)
        with sources.open(uri, found.etag) as file, open_decoding(file, uri, limits) as decoding:
            mix = np.concatenate(list(decoding.blocks()), axis=1)
            return mix, [*decoding.warnings, *warnings(measure(mix))]


if __name__ == "__main__":
    sys.exit(main())
