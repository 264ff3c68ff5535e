"""Which files of a catalogue are the output's own: a second run would separate the stems of the first."""

import os

import pyarrow as pa
import pyarrow.compute as pc

from separation.store.disk.local_disk import identity
from separation.store.filesystems import is_local, local_path


def lie_below(uris: pa.ChunkedArray, output: str) -> pa.ChunkedArray:
    """For each URI or plain path whether it lies below the folder `output`, however either is spelled."""
    if not is_local(output):
        folder = _one_spelling(pa.array([output.rstrip("/")]))[0]
        return pc.starts_with(_one_spelling(uris), f"{folder}/")
    folder = LocalFolder(str(local_path(output)))
    paths = pc.replace_substring_regex(uris, r"(?i)^(file|local)://", "")
    remote = pc.match_substring_regex(paths, r"^[A-Za-z][A-Za-z0-9+.-]*://")
    below = [
        not is_remote and folder.holds(path)
        for path, is_remote in zip(paths.to_pylist(), remote.to_pylist(), strict=True)
    ]
    return pa.chunked_array([pa.array(below, pa.bool_())])


def _one_spelling(uris: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(uris, r"(?i)^s3a?://", "s3://")


class LocalFolder:
    """A folder of this machine by its identity, which links and the spelling of a path do not change."""

    def __init__(self, path: str):
        self._identity = identity(path)
        self._known: dict[str, bool] = {}  # folder -> whether it is this one or lies below it

    def holds(self, path: str) -> bool:
        """Whether the file `path` lies below this folder, which need not exist, by that path or by its links.

        A link below the folder lies there wherever it leads, as those of git-annex do.
        """
        if self._identity is None:
            return False
        return self._is_above(os.path.dirname(path)) or (
            os.path.islink(path) and self._is_above(os.path.dirname(os.path.realpath(path)))
        )

    def _is_above(self, folder: str) -> bool:
        if folder not in self._known:
            ways = {folder, os.path.realpath(folder)}
            self._known[folder] = any(self._identity in _identities_up_from(way) for way in ways)
        return self._known[folder]


def _identities_up_from(path: str) -> set[tuple[int, int] | None]:
    """Those of a folder and of all that its path goes through."""
    found = {identity(path)}
    while (parent := os.path.dirname(path)) != path:
        path = parent
        found.add(identity(path))
    return found
