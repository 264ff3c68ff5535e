"""The operations of `Location` on local files."""

import errno
import hashlib
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from separation.store.disk.atomic_write import UNFINISHED, atomic_create, atomic_write
from separation.store.disk.full_disk import room_in
from separation.store.errors import NotAFile
from separation.store.etags import SeekableBytes
from separation.store.location import Found, Location
from separation.store.metadata import Stat, Upload
from separation.store.redact import shown

NO_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

log = logging.getLogger(__name__)


def stat_of(found: os.stat_result) -> Stat:
    """A local file's `Stat`. Whoever replaces a file can keep its size and its time, but not its ctime."""
    return Stat(found.st_size, f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}")


class LocalLocation(Location):
    def _stat(self) -> Stat:
        try:
            found = os.stat(self.path)
        except PermissionError:
            raise
        except (OSError, ValueError) as error:  # the latter: a path with a zero byte
            if isinstance(error, OSError) and error.errno == errno.ELOOP:
                raise NotAFile(self.uri, "a link that leads round in a circle") from None
            raise FileNotFoundError(self.uri) from None
        if not stat.S_ISREG(found.st_mode):
            kind = NO_FILES.get(stat.S_IFMT(found.st_mode), "something else")
            raise NotAFile(self.uri, f"{kind}; expected a file")
        return stat_of(found)

    def digest(self) -> tuple[int, str]:
        return self.on_object(self._digest)

    def _digest(self) -> tuple[int, str]:
        with open(self.path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), sha256

    def _put(self, data: SeekableBytes) -> None:
        data.seek(0)
        path = Path(self.path)
        with room_in(path.parent), atomic_write(path) as temporary, temporary.open("wb") as file:
            shutil.copyfileobj(data, file)

    def _create(self, data: bytes) -> None:
        path = Path(self.path)
        with room_in(path.parent):
            atomic_create(path, data)

    def _walk(self, file: str, prefix: str, *, follow_links: bool = False) -> Iterator[Found]:
        start = file or prefix.rpartition("/")[0] or "/"
        paths = self._below(start, follow_links) if os.path.isdir(start) else [start]
        for path in paths:
            with suppress(FileNotFoundError, NotADirectoryError):  # never there, or removed meanwhile
                yield _found(path)

    def _below(self, root: str, follow_links: bool) -> Iterator[str]:
        """The paths of the files below a folder.

        A folder that has several paths is listed once: by its path without a link, or else by the first.
        """
        inside = f"{os.path.realpath(root).rstrip('/')}/"
        seen = {identity(root)}
        waiting = self.on_store(_entries, root, follow_links)
        while waiting:
            entry = waiting.pop()
            if not _is_folder(entry, follow_links):
                yield entry.path
                continue
            if entry.is_symlink() and f"{os.path.realpath(entry.path)}/".startswith(inside):
                continue
            if (found := identity(entry.path)) not in seen:
                seen.add(found)
                waiting += self.on_store(_entries, entry.path, follow_links)

    def list_uploads(self) -> Iterator[Upload]:
        for file in self.list_files():
            if UNFINISHED.fullmatch(file.uri.rpartition("/")[2]):
                yield Upload(file.uri, "", file.modified)


def _entries(folder: str, follow_links: bool) -> list["os.DirEntry[str]"]:
    """A folder's entries, the last path first; none if the folder is gone or closed to us."""
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entries,
                key=lambda entry: f"{entry.name}/" if _is_folder(entry, follow_links) else entry.name,
                reverse=True,
            )
    except PermissionError:
        log.warning("%s: no permission to list this folder; what is below it is left out", shown(folder))
    except (FileNotFoundError, NotADirectoryError):
        pass
    return []


def _is_folder(entry: "os.DirEntry[str]", follow_links: bool) -> bool:
    if follow_links and entry.is_symlink():
        return os.path.isdir(entry.path)  # False for a link that leads nowhere or round in a circle
    return entry.is_dir(follow_symlinks=False)


def identity(path: str) -> tuple[int, int] | None:
    """What two paths of one file or folder have in common: device and inode; None if it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _found(path: str) -> Found:
    """Of a link that leads nowhere, what is known of the link."""
    try:
        found = os.stat(path)
    except OSError:
        found = os.lstat(path)
    return path, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC)
