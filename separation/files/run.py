"""`python -m separation` from its arguments to its exit code: which tracks are left, one after the other."""

import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from separation import options
from separation.arguments import absolute, check_folder
from separation.audio import limits
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.limits import Limits
from separation.audio.mixes import read_mix
from separation.audio.stem_files import write_stems
from separation.console import LineConsole
from separation.errors import SourceUnreachable, TrackError, UsageError
from separation.files.progress import AlbumProgress
from separation.files.record import StemRecord
from separation.files.tracks import Track, find_tracks
from separation.local import LocalSeparator
from separation.options import Options
from separation.program import ExitCode
from separation.settings import Settings
from separation.store.disk.full_disk import DiskFull
from separation.store.disk.private_folder import default_cache
from separation.store.errors import BadAddress
from separation.store.filesystems import join, open_store
from separation.store.objects import Store
from separation.store.places import Places, place
from separation.store.track_ids import check_output_uris


def separate_files(args: Namespace, results: LineConsole, notes: LineConsole, store: Store) -> int:
    """Separates `args.tracks` to `args.out`; the others go on if one is an error or finds the disk full.

    Everything that can be refused is, before a model is loaded. `results` is for stdout, `notes` for stderr.
    """
    wanted, most, output = options.from_arguments(args), limits.from_arguments(args), absolute(args.out)
    check_folder(args.out)
    found = find_tracks(args.tracks, output, store)
    separator = LocalSeparator(args.models, wanted, args.provider, args.threads, default_cache(), store)
    refuse_overwriting(found.tracks, output, wanted, separator.stems)
    record = StemRecord(output, replace(Settings.of(separator.selection), engine=separator.engine), store)
    record.check(found.tracks, args.force)
    done = set() if args.force else record.done(found.tracks, wanted, separator.stems)
    pending = [track for track in found.tracks if track.track_id not in done]
    if not pending:
        results.result(f"nothing to do: {found.describe()}, all done before; stems: {output}")
        return ExitCode.DONE
    if len(found.tracks) > 1:
        results.print(f"{found.describe()}; {len(done)} done before, {len(pending)} left")
    progress = AlbumProgress(len(pending), len(done), results, notes)
    pool, has_begun = DecoderPool(), False
    for track in pending:
        try:
            began = time.monotonic()
            mix = read(track, most, pool, output, wanted, separator, progress, store)
            if not has_begun:
                separator.load()
                record.begin(pending)
                has_begun = True
            with progress.bar(track, separator.chunks(mix.shape[1])) as on_chunk:
                stems = separator.separate(mix, on_chunk)
            rate = separator.sample_rate
            files, factor = write_stems(
                stems, track.track_id, mix.shape[1], wanted, output, store, sample_rate=rate
            )
            record.add(track)
            if factor != 1:
                progress.note(track, f"all stems scaled by {factor:.4f} so that none clips")
            progress.add(track, files, mix.shape[1] / rate, time.monotonic() - began)
        except (TrackError, DiskFull) as error:
            progress.fail(error)
        except SourceUnreachable as error:
            progress.fail_to_reach(error)
    if len(found.tracks) > 1 or progress.done:
        results.result(f"{progress.end_line()}; stems: {output}")
    if progress.unreachable:
        return ExitCode.REFUSED
    return ExitCode.SOME_ERRORS if progress.failed else ExitCode.DONE


def read(
    track: Track,
    most: Limits,
    pool: DecoderPool,
    output: str,
    wanted: Options,
    separator: LocalSeparator,
    progress: AlbumProgress,
    store: Store,
) -> np.ndarray:
    """The track's mix, float32 (2, samples), once it is known that the output can hold its stems."""
    paths = [join(output, wanted.path(track.track_id, stem)) for stem in separator.stems]
    check_output_uris(track.uri, paths)
    mix, warnings = read_mix(track.uri, most, pool, store, sample_rate=separator.sample_rate)
    for warning in warnings:
        progress.note(track, warning)
    return mix


def refuse_overwriting(tracks: Sequence[Track], output: str, wanted: Options, stems: Sequence[str]) -> None:
    """Raises `UsageError` if a stem would replace one of the tracks, or a stem of another one."""
    sources, written = Places(track.uri for track in tracks if is_address(track.uri)), dict[str, str]()
    for track in tracks:
        for stem in stems:
            with suppress(TrackError):  # said when it is the track's turn
                uri = join(output, wanted.path(track.track_id, stem))
                if source := sources.find(uri):
                    raise UsageError(f"{uri}, the {stem} of {track.uri}, would overwrite the track {source}")
                if (other := written.setdefault(place(uri), track.uri)) != track.uri:
                    raise UsageError(f"{uri} would be a stem of {other} and of {track.uri}")


def is_address(uri: str) -> bool:
    """Whether a store has such addresses; one that none has is an error when it is its track's turn."""
    try:
        open_store(uri)
    except BadAddress:
        return False
    return True
