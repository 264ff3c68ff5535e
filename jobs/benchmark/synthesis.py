"""A catalogue of synthetic songs, drawn by a seed, for a benchmark without `--input`."""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console

from separation.errors import UsageError
from separation.store.filesystems import join
from separation.store.objects import Store


def synthesise(args: argparse.Namespace, console: Console, store: Store) -> str:
    """Writes `args.tracks` songs below the output and returns their folder's URI.

    The folder's name holds all that the songs depend on, so that it is kept if it is complete.
    """
    from band.catalogue import draw_specs, write_track

    codecs = [codec for codec in args.codecs.split(",") if codec]
    shortest, longest = args.seconds
    try:
        specs = draw_specs(args.tracks, shortest, longest, args.seed, codecs)
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    lengths = "-".join(f"{seconds:g}" for seconds in args.seconds)
    name = "-".join([f"{args.tracks}x{lengths}s", f"seed{args.seed}", *codecs])
    uri = join(args.output, f"catalogue/{name}")
    if sum(1 for _ in store.list_files(uri)) == len(specs):
        return uri
    console.print(f"writing {len(specs)} songs to {uri}")
    with tempfile.TemporaryDirectory(prefix="stemfleet-band-") as folder:
        for number, spec in enumerate(specs):
            path = write_track(Path(folder), args.seed + number, spec)
            store.put_file(path, join(uri, spec.name))
            path.unlink()
    return uri
