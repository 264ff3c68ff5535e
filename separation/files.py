"""Audio files in, files of stems out, one after the other: what `python -m separation` does."""

from argparse import Namespace
from pathlib import PurePath

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from separation import options
from separation.arguments import absolute, check_folder
from separation.audio import limits
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.limits import Limits
from separation.audio.mixes import read_mix
from separation.audio.stem_files import write_stems
from separation.console import LineConsole
from separation.errors import SourceUnreachable, TrackError, UsageError
from separation.local import LocalSeparator
from separation.options import Options
from separation.program import ExitCode, print_error
from separation.store.disk.full_disk import DiskFull
from separation.store.disk.private_folder import default_cache
from separation.store.filesystems import join
from separation.store.objects import Store
from separation.store.redact import shown
from separation.store.track_ids import check_output_uris


def separate_files(args: Namespace, console: LineConsole, store: Store) -> int:
    """Separates `args.tracks` to `args.out`; the others go on if one is an error or finds the disk full."""
    wanted, most = options.from_arguments(args), limits.from_arguments(args)
    names = [PurePath(track).name for track in args.tracks]
    if double := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"tracks of one name would overwrite each other: {', '.join(sorted(double))}")
    check_folder(args.out)
    separator = LocalSeparator(args.models, wanted, args.provider, args.threads, default_cache(), store)
    failed, unreachable, pool = 0, 0, DecoderPool()
    for uri, name in zip(args.tracks, names, strict=True):
        try:
            separate_file(uri, name, separator, wanted, most, pool, args.out, console, store)
        except (TrackError, DiskFull) as error:
            failed += 1
            print_error(str(error))
        except SourceUnreachable as error:
            unreachable += 1
            print_error(str(error))
    if unreachable:
        return ExitCode.REFUSED
    return ExitCode.SOME_ERRORS if failed else ExitCode.DONE


def separate_file(
    uri: str,
    name: str,
    separator: LocalSeparator,
    wanted: Options,
    most: Limits,
    pool: DecoderPool,
    output: str,
    console: LineConsole,
    store: Store,
) -> None:
    check_output_uris(uri, [join(absolute(output), wanted.path(name, stem)) for stem in separator.stems])
    mix, warnings = read_mix(uri, most, pool, store)
    for warning in warnings:
        console.print(f"{name}: {warning}", style="yellow")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(shown(name), total=separator.chunks(mix.shape[1]))
        stems = separator.separate(mix, on_chunk=lambda stem: progress.advance(task))
    files, factor = write_stems(stems, name, mix.shape[1], wanted, output, store)
    for file in files:
        console.result(f"{file.uri}  peak {file.peak:.3f}")
    if factor != 1:
        console.print(f"{name}: all stems scaled by {factor:.4f} so that none clips")
