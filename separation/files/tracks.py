"""From the arguments of `python -m separation` to the tracks that they name, each with an id of its own."""

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import PurePath

from separation.arguments import absolute
from separation.catalogue.folders import (
    AUDIO,
    OF_THE_OUTPUT,
    WITHIN_OUTPUT,
    FolderListing,
    describe_left_out,
    extension,
)
from separation.catalogue.own_output import OwnOutput
from separation.console import counted
from separation.errors import UsageError
from separation.store.errors import BadAddress
from separation.store.filesystems import is_local, local_path
from separation.store.objects import Store
from separation.store.places import place


@dataclass(frozen=True, slots=True)
class Track:
    """`track_id` is the path of its stems below the output: a file's name, or its path below its folder."""

    track_id: str
    uri: str

    @property
    def source(self) -> str:
        """Where the file is, as it is recorded: `uri`, absolute."""
        return absolute(self.uri)


@dataclass(frozen=True, slots=True)
class Tracks:
    """What is to be separated, in order, and which files of the folders are no tracks."""

    tracks: tuple[Track, ...]
    left_out: str

    def describe(self) -> str:
        return counted(len(self.tracks), "track") + (f"; left out: {self.left_out}" if self.left_out else "")


def find_tracks(arguments: Sequence[str], output: str, store: Store) -> Tracks:
    """The files that `arguments` name, and those below their folders that are not the output's own.

    A file that two arguments name is one track. Raises `UsageError` for a folder without tracks.
    """
    own, left_out = OwnOutput(output), Counter[str]()
    found: dict[str, Track] = {}
    for argument in arguments:
        tracks = [Track(PurePath(argument).name, argument)]
        if listing := listing_of(argument, store):
            tracks = [Track(path, uri) for path, uri in listing]
            left_out.update(listing.left_out)
            if tracks and own.holds(f"{listing.prefix}track"):
                raise UsageError(f"{argument} lies {WITHIN_OUTPUT.format(output, '--out')}")
            outside = [track for track in tracks if not own.holds(track.uri)]
            left_out[OF_THE_OUTPUT] += len(tracks) - len(outside)
            tracks = outside
        if not tracks:
            beside = describe_left_out(left_out)
            raise UsageError(f"{argument}: no tracks" + (f" ({beside})" if beside else ""))
        for track in tracks:
            found.setdefault(_place(track), track)
    return Tracks(kept_apart(list(found.values())), describe_left_out(left_out))


def listing_of(argument: str, store: Store) -> FolderListing | None:
    """The listing of a folder or a glob, which has `*` or `?`; None for what is taken for a file.

    At a store, that is what has an audio name. A file that is missing is an error when it is its turn.
    """
    uri = absolute(argument)
    is_glob = "*" in uri or "?" in uri  # a `[` alone is of a name
    try:
        if is_local(uri):
            path = local_path(uri)
            is_file = not os.path.isdir(path) and (os.path.lexists(path) or not is_glob)
        else:
            is_web = uri.lower().startswith(("http://", "https://"))
            is_file = is_web or (extension(uri) in AUDIO and not is_glob)
    except BadAddress:
        return None
    return None if is_file else FolderListing(uri, store)


def kept_apart(tracks: Sequence[Track]) -> tuple[Track, ...]:
    """`tracks` with ids that differ: one that others have gets as many of its folders as that takes."""
    tracks = tuple(tracks)
    while True:
        counts = Counter(track.track_id for track in tracks)
        longer = tuple(_with_folder(track) if counts[track.track_id] > 1 else track for track in tracks)
        if longer == tracks:
            break
        tracks = longer
    if double := next((track for track in tracks if counts[track.track_id] > 1), None):
        raise UsageError(f"two tracks have the path {double.track_id}: expected one each")
    return tracks


def _with_folder(track: Track) -> Track:
    """The track whose id has one more of its folders; the same where it has all of them."""
    path = track.source.partition("://")[2] or track.source
    steps = path.strip("/").split("/")
    return replace(track, track_id="/".join(steps[-(track.track_id.count("/") + 2) :]))


def _place(track: Track) -> str:
    with suppress(BadAddress):
        return place(track.source)
    return track.source
