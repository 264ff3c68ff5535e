"""Audio files in, files of stems out, one after the other: what `python -m separation` does."""

from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
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
from separation.store.errors import BadAddress
from separation.store.filesystems import join, open_store
from separation.store.objects import Store
from separation.store.places import Places, place
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
    refuse_overwriting(args.tracks, args.out, wanted, separator.stems)
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


def refuse_overwriting(tracks: Sequence[str], output: str, wanted: Options, stems: Sequence[str]) -> None:
    """Raises `UsageError` if a stem would replace one of the tracks, or a stem of another one."""
    sources, written = Places(track for track in tracks if is_address(track)), dict[str, str]()
    for track in tracks:
        for stem in stems:
            with suppress(TrackError):  # said when it is the track's turn
                uri = join(absolute(output), wanted.path(PurePath(track).name, stem))
                if source := sources.find(uri):
                    raise UsageError(f"{uri}, the {stem} of {track}, would overwrite the track {source}")
                if (other := written.setdefault(place(uri), track)) != track:
                    raise UsageError(f"{uri} would be a stem of {other} and of {track}")


def is_address(uri: str) -> bool:
    """Whether a store has such addresses; one that none has is an error when it is its track's turn."""
    try:
        open_store(uri)
    except BadAddress:
        return False
    return True


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
    mix, warnings = read_mix(uri, most, pool, store, sample_rate=separator.sample_rate)
    for warning in warnings:
        console.print(f"{name}: {warning}", style="yellow")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task(shown(name), total=separator.chunks(mix.shape[1]))
        stems = separator.separate(mix, on_chunk=lambda graph: progress.advance(task))
    files, factor = write_stems(
        stems, name, mix.shape[1], wanted, output, store, sample_rate=separator.sample_rate
    )
    for file in files:
        console.result(f"{file.uri}  peak {file.peak:.3f}")
    if factor != 1:
        console.print(f"{name}: all stems scaled by {factor:.4f} so that none clips")
