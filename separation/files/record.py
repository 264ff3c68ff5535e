"""stemfleet.json in a folder of stems: what made them, and which file each track is.

It does for `python -m separation` what the tables do for a job: a track is done if it is named here with its
own file and all of its stems are there, and all tracks here have the same settings. A track is named once its
stems are written.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from separation.errors import StorageError, TrackError, UsageError
from separation.files.tracks import Track
from separation.options import Options
from separation.settings import Settings, mixture
from separation.store.filesystems import join
from separation.store.objects import Store

NAME = "stemfleet.json"
STATS_AHEAD = 16  # files whose presence is asked at once: an object store answers slowly


class Content(msgspec.Struct, frozen=True):
    """Field names are the keys of the file."""

    settings: Settings = Settings()
    tracks: Mapping[str, str] = {}  # track id -> absolute URI of its file


class StemRecord:
    """The record of the folder `output`, to which tracks of `settings` are to be added.

    Raises `StorageError` if there is a file that is no record.
    """

    def __init__(self, output: str, settings: Settings, store: Store):
        self._output, self._settings, self._store = output, settings, store
        self._uri = join(output, NAME)
        self._found = self._read()

    def check(self, tracks: Sequence[Track], force: bool) -> None:
        """Raises `UsageError` if `tracks` would mix settings, or replace the stems of another file.

        `force` allows the former where every track of the record is done again.
        """
        ids = {track.track_id for track in tracks}
        outside = [track_id for track_id in self._found.tracks if track_id not in ids]
        differing = self._found.settings.differences(self._settings) if self._found.tracks else []
        if differing and (outside or not force):
            example = outside[0] if outside else ""
            raise UsageError(mixture(self._output, "--out", differing, len(outside), example, force))
        for track in tracks:
            other = self._found.tracks.get(track.track_id, track.source)
            if other != track.source and not force:
                raise UsageError(
                    f"{self._output} has the stems of {other} as {track.track_id}, which {track.source} "
                    "would replace. Choose another --out, or --force to do so"
                )

    def done(self, tracks: Sequence[Track], options: Options, stems: Sequence[str]) -> set[str]:
        """The ids of those of `tracks` that the record has and whose stems are all there; after `check`."""
        known = [track for track in tracks if track.track_id in self._found.tracks]

        def is_there(track: Track) -> bool:
            try:
                for stem in stems:
                    self._store.stat(join(self._output, options.path(track.track_id, stem)))
            except (FileNotFoundError, TrackError):
                return False
            return True

        with ThreadPoolExecutor(STATS_AHEAD) as pool:
            there = pool.map(is_there, known)
            return {track.track_id for track, is_done in zip(known, there, strict=True) if is_done}

    def begin(self, tracks: Sequence[Track]) -> None:
        """Before the first of `tracks` is written: they are none of the record until `add`."""
        self._write({track.track_id for track in tracks}, {})

    def add(self, track: Track) -> None:
        """A track whose stems are written."""
        self._write((), {track.track_id: track.source})

    def _write(self, without: Collection[str], added: Mapping[str, str]) -> None:
        """Reads it first: another process may have added tracks of its own."""
        found = self._read()
        kept = {track_id: uri for track_id, uri in found.tracks.items() if track_id not in without}
        if kept and (differing := found.settings.differences(self._settings)):
            raise UsageError(mixture(self._output, "--out", differing, len(kept), min(kept), False))
        if not (kept or added or found.tracks):
            return
        content = {"settings": self._settings, "tracks": {**kept, **added}}
        self._store.put_bytes(json.dumps(msgspec.to_builtins(content), indent=1).encode(), self._uri)

    def _read(self) -> Content:
        try:
            # The json module, as names of a local disk need not be UTF-8.
            return msgspec.convert(json.loads(self._store.read_bytes(self._uri)), Content)
        except FileNotFoundError:
            return Content()
        except (ValueError, RecursionError) as error:
            reason = f"expected the JSON that python -m separation writes: {error}"
            raise StorageError(self._uri, reason) from error
