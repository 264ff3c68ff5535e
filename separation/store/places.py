"""Where a URI leads: whether two of them are one file, however they are spelled."""

import os
import re
from collections.abc import Iterable

from separation.store.disk.local_disk import identity
from separation.store.filesystems import is_local, local_path
from separation.store.redact import with_lower_scheme


class Places:
    """Files by where they are: to replace one of these paths is to replace one of these files."""

    def __init__(self, uris: Iterable[str]):
        self._uris: dict[object, str] = {}
        for uri in uris:
            for mark in _marks(uri):
                self._uris.setdefault(mark, uri)

    def find(self, uri: str) -> str | None:
        """The URI of the file that `uri` leads to as well, or None."""
        return next((self._uris[mark] for mark in _marks(uri) if mark in self._uris), None)


def place(uri: str) -> str:
    """One spelling of a path, without the links of its folders, or of an object's URI."""
    if not is_local(uri):
        return re.sub("^s3a://", "s3://", with_lower_scheme(uri))
    folder, name = os.path.split(os.path.abspath(local_path(uri)))
    return os.path.join(os.path.realpath(folder), name)


def _marks(uri: str) -> list[object]:
    """What two URIs of one file share: their place or, of a file that is there, device and inode."""
    found = identity(str(local_path(uri))) if is_local(uri) else None
    return [place(uri), found] if found else [place(uri)]
