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
        """Whether the file `path` lies below this folder, which need not exist."""
        if self._identity is None:
            return False
        if os.path.islink(path):
            path = os.path.realpath(path)
        folder = os.path.dirname(path)
        if folder not in self._known:
            self._known[folder] = self._identity in _identities_up_from(folder)
        return self._known[folder]


def _identities_up_from(folder: str) -> set[tuple[int, int] | None]:
    """Those of a folder and of all that it lies in."""
    path = os.path.realpath(folder)
    found = {identity(path)}
    while (parent := os.path.dirname(path)) != path:
        path = parent
        found.add(identity(path))
    return found
