"""Sources on this node's disk: each object fetched once, whole and verified, and shared by all processes."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from separation.errors import Kind, TrackError
from separation.store import objects
from separation.store.filesystems import reading, writing


class SourceCache:
    """Objects below `folder`, at most `max_bytes` of them, the least recently opened removed first.

    An object is the file `<sha256 of uri and etag>`, and `<...>.part` while a process fetches it. Whoever
    fetches holds a lock on the part, so a second process waits for the first one's result, and a part
    whose process died is free to take over. The file just fetched is never the one removed, so the folder
    can exceed `max_bytes` by what is in flight; an open file keeps its bytes after its name is gone.
    """

    def __init__(self, folder: Path | str, max_bytes: int):
        self._folder, self._max_bytes = Path(folder), max_bytes

    def stat(self, uri: str) -> objects.Stat:
        """`storage.stat`, with the errors of `open`."""
        with _blaming(uri):
            return objects.stat(uri)

    def open(self, uri: str, etag: str) -> BinaryIO:
        """The object that `storage.stat` reported with this etag; a local path is opened where it is.

        Raises TrackError if the object is gone, closed to us or no longer the same, and StorageError if the
        store fails.
        """
        if objects.is_local(uri):
            return self._open_local(uri, etag)
        with writing(str(self._folder)):
            return self._open_fetched(uri, etag)

    def _open_local(self, uri: str, etag: str) -> BinaryIO:
        with _blaming(uri), reading(uri):
            file = objects.local_path(uri).open("rb")
        found = objects.stat_of(os.fstat(file.fileno())).etag
        if found != etag:
            file.close()
            raise _changed(uri, etag, found)
        return file

    def _open_fetched(self, uri: str, etag: str) -> BinaryIO:
        whole = self._folder / hashlib.sha256(f"{uri}\n{etag}".encode()).hexdigest()
        part = whole.with_suffix(".part")
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            with suppress(FileNotFoundError):
                file = whole.open("rb")
                os.utime(file.fileno())  # the time of last use
                return file
            with part.open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not _same_file(lock.fileno(), part):
                    continue  # another process finished, or gave up, while this one waited
                try:
                    if not whole.exists():
                        self._fetch(uri, etag, part)
                        os.replace(part, whole)
                        self._make_room(keep=whole)
                finally:
                    part.unlink(missing_ok=True)

    def _fetch(self, uri: str, etag: str, part: Path) -> None:
        with _blaming(uri):
            try:
                objects.download(uri, part, etag)
            except objects.Replaced as error:
                raise _changed(uri, error.asked, error.found) from error

    def _make_room(self, keep: Path) -> None:
        files: list[tuple[float, int, Path]] = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                found = path.stat()
                files.append((found.st_mtime, found.st_size, path))
        excess = sum(size for _, size, _ in files) - self._max_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                return
            if path != keep and _unlink_unless_locked(path):
                excess -= size


@contextmanager
def _blaming(uri: str) -> Iterator[None]:
    """What the store refuses about one object is the track's error."""
    try:
        yield
    except FileNotFoundError as error:
        raise TrackError(uri, Kind.MISSING, "no such object") from error
    except PermissionError as error:
        raise TrackError(uri, Kind.DENIED, "the store does not let us read it") from error


def _unlink_unless_locked(path: Path) -> bool:
    """Whether the file is gone; a part that is being fetched stays, one left by a dead process goes."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if path.suffix == ".part":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        path.unlink()
    return True


def _same_file(descriptor: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def _changed(uri: str, asked: str, found: str) -> TrackError:
    return TrackError(uri, Kind.CHANGED, f"its etag is {found} now; it was {asked} when it was probed")
