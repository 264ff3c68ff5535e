"""Reads the catalogue: a prefix, a glob or a manifest -> a table of `ListedTrack`.

Everything is Arrow and vectorised: a catalogue of ten million tracks is a few gigabytes here and
minutes as Python objects.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline import schema
from jobs.pipeline.catalogue.litter import is_litter
from jobs.pipeline.catalogue.manifest import NOT_UTF_8, listed_table, manifest_files, parts_of, read_manifest
from jobs.pipeline.catalogue.manifest_formats import format_of
from jobs.pipeline.catalogue.own_output import lie_below
from separation.arguments import absolute
from separation.console import counted
from separation.errors import UsageError
from separation.store.objects import Store

# Extensions that a prefix takes; a glob or a manifest takes whatever it names.
_AUDIO = """aac ac3 aif aifc aiff alac amr ape au caf dff dsf flac m4a m4b mka mp2 mp3 mp4 mpc oga ogg opus
rf64 snd spx tta w64 wav wave webm wma wv"""
AUDIO = frozenset(_AUDIO.split())
LITTER = "of the system (._x, trash, snapshots)"
WITHIN_OUTPUT = "within the output {}, where a run leaves its own files; choose an --output elsewhere"
LISTED_AT_ONCE = 100_000  # keys that are Python objects at a time


@dataclass(frozen=True, slots=True)
class Catalogue:
    tracks: pa.Table  # schema.LISTED, no track_id twice
    left_out: Mapping[str, int] = field(default_factory=dict)  # which files are no tracks -> how many

    def describe_left_out(self) -> str:
        """`3 files without an audio name, 2 files of the output`; empty if there are none."""
        return ", ".join(
            counted(count, "file") + f" {which}" for which, count in self.left_out.items() if count
        )


def read_catalogue(uri: str, output: str, store: Store) -> Catalogue:
    """The catalogue at `uri` without what lies below the folder `output`.

    Raises `UsageError` if nothing is left, or a manifest lacks a column.
    """
    uri = absolute(uri)  # as listings of plain paths answer
    found = _named(uri, store) if format_of(uri) else _listed(uri, output, store)
    if not found.tracks.num_rows:
        beside = f" ({found.describe_left_out()})" if found.describe_left_out() else ""
        raise UsageError(f"{uri}: no tracks{beside}")
    is_own = lie_below(found.tracks["uri"], output)
    own = pc.sum(is_own).as_py()
    if own == found.tracks.num_rows:
        raise UsageError(f"all tracks of {uri} lie {WITHIN_OUTPUT.format(output)}")
    return Catalogue(found.tracks.filter(pc.invert(is_own)), {**found.left_out, "of the output": own})


def pending(tracks: pa.Table, done: pa.ChunkedArray) -> pa.Table:
    """The tracks whose ids are not in `done`."""
    return tracks.filter(pc.invert(pc.is_in(tracks["track_id"], value_set=done)))


def _named(uri: str, store: Store) -> Catalogue:
    return Catalogue(read_manifest(uri, manifest_files(uri, store), store))


def _listed(uri: str, output: str, store: Store) -> Catalogue:
    folder, pattern = split_pattern(uri, store)
    prefix = f"{folder.rstrip('/')}/"
    is_asked_for = is_litter(pattern)
    other, litter, tables = 0, 0, [schema.LISTED.empty_table()]
    listing = store.find_files(folder, pattern)
    while page := [file.uri for file in islice(listing, LISTED_AT_ONCE)]:
        paths = {file: file.removeprefix(prefix) for file in page}
        if uri in paths:
            paths[uri] = PurePosixPath(uri).name
        kept = [file for file in page if is_asked_for or file == uri or not is_litter(paths[file])]
        audio = kept if pattern else [file for file in kept if _extension(file) in AUDIO]
        tables.append(_table_of([paths[file] for file in audio], audio))
        litter += len(page) - len(kept)
        other += len(kept) - len(audio)
    tracks = pa.concat_tables(tables)
    if tracks.num_rows and pc.any(lie_below(pa.chunked_array([[f"{prefix}track"]]), output)).as_py():
        raise UsageError(f"{uri} lies {WITHIN_OUTPUT.format(output)}")
    if not tracks.num_rows and not pattern and (parts := parts_of(uri, store)):
        tracks = read_manifest(uri, parts, store)
    return Catalogue(tracks, {"without an audio name": other, LITTER: litter})


def split_pattern(uri: str, store: Store) -> tuple[str, str]:
    """The folder of a glob, and the pattern of the paths below it, which is empty for any other URI.

    A step such as `[live]` is a pattern only if nothing is there under that very name.
    """
    steps = uri.split("/")
    for at in range(3 if "://" in uri else 1, len(steps)):
        named = "/".join(steps[: at + 1])
        if any(mark in steps[at] for mark in "*?[") and not any(store.list_files(named)):
            return "/".join(steps[:at]) or "/", "/".join(steps[at:])
    return uri, ""


def _table_of(ids: list[str], uris: list[str]) -> pa.Table:
    """A name that is not UTF-8, as a local disk may have, cannot be a table's text: escapes stand for it."""
    errors: list[str | None] = [None] * len(uris)
    if not "".join(uris).isascii():
        for at, uri in enumerate(uris):
            written = os.fsencode(uri).decode(errors="backslashreplace")
            if written != uri:
                ids[at] = uris[at] = written
                errors[at] = NOT_UTF_8
    columns = [pa.array(column, pa.string()) for column in (ids, uris, errors)]
    return listed_table(*columns)


def _extension(uri: str) -> str:
    return PurePosixPath(uri.rpartition("/")[2]).suffix[1:].lower()
