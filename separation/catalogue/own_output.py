"""Whether a file is the output's own: a second run would separate the stems of the first."""

import os

from separation.store.disk.local_disk import identity
from separation.store.filesystems import is_local, local_path
from separation.store.places import place


class OwnOutput:
    """The folder `output`, at any store, as files that are listed elsewhere may lie below it."""

    def __init__(self, output: str):
        self._local = LocalFolder(str(local_path(output))) if is_local(output) else None
        self._prefix = f"{place(output).rstrip('/')}/"

    def holds(self, uri: str) -> bool:
        """Whether the file `uri` lies below the output, however either is spelled."""
        if self._local:
            return is_local(uri) and self._local.holds(str(local_path(uri)))
        return place(uri).startswith(self._prefix)


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
