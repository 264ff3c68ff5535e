"""Reads the catalogue: a prefix, a glob or a manifest -> a table of `ListedTrack`.

Everything is Arrow and vectorised: a catalogue of ten million tracks is a few gigabytes here and
minutes as Python objects.
"""

import os
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline import schema
from jobs.pipeline.catalogue.manifest import NOT_UTF_8, listed_table, manifest_files, parts_of, read_manifest
from jobs.pipeline.catalogue.manifest_formats import format_of
from jobs.pipeline.catalogue.own_output import lie_below
from separation.arguments import absolute
from separation.catalogue.folders import OF_THE_OUTPUT, WITHIN_OUTPUT, FolderListing, describe_left_out
from separation.errors import UsageError
from separation.store.objects import Store

LISTED_AT_ONCE = 100_000  # keys that are Python objects at a time


@dataclass(frozen=True, slots=True)
class Catalogue:
    tracks: pa.Table  # schema.LISTED, no track_id twice
    left_out: dict[str, int] = field(default_factory=dict)  # which files are no tracks -> how many

    def describe_left_out(self) -> str:
        """`3 files without an audio name, 2 files of the output`; empty if there are none."""
        return describe_left_out(self.left_out)


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
        raise UsageError(f"all tracks of {uri} lie {WITHIN_OUTPUT.format(output, '--output')}")
    return Catalogue(found.tracks.filter(pc.invert(is_own)), {**found.left_out, OF_THE_OUTPUT: own})


def pending(tracks: pa.Table, done: pa.ChunkedArray) -> pa.Table:
    """The tracks whose ids are not in `done`."""
    return tracks.filter(pc.invert(pc.is_in(tracks["track_id"], value_set=done)))


def _named(uri: str, store: Store) -> Catalogue:
    return Catalogue(read_manifest(uri, manifest_files(uri, store), store))


def _listed(uri: str, output: str, store: Store) -> Catalogue:
    listing = FolderListing(uri, store)
    tracks, tables = iter(listing), [schema.LISTED.empty_table()]
    while page := list(islice(tracks, LISTED_AT_ONCE)):
        tables.append(_table_of([path for path, _ in page], [file for _, file in page]))
    found = pa.concat_tables(tables)
    if found.num_rows and pc.any(lie_below(pa.chunked_array([[f"{listing.prefix}track"]]), output)).as_py():
        raise UsageError(f"{uri} lies {WITHIN_OUTPUT.format(output, '--output')}")
    if not found.num_rows and not listing.pattern and (parts := parts_of(uri, store)):
        found = read_manifest(uri, parts, store)
    return Catalogue(found, listing.left_out)


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
