"""The catalogue's files on this node's disk: each fetched once, verified, and shared by all processes."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from separation.errors import ErrorKind, TrackError
from separation.store.atomic_write import publish
from separation.store.errors import Replaced, object_errors, store_errors
from separation.store.filesystems import is_local, local_path
from separation.store.local_disk import stat_of
from separation.store.metadata import Stat
from separation.store.objects import Store
from separation.store.private_folder import open_private, private_folder


class SourceCache:
    """Keeps at most `max_bytes` of objects below `folder`; the least recently opened are removed first.

    An object is the file `<sha256 of URI and ETag>`; while a process fetches it, `<...>.part`. That process
    holds a lock on the part: a second one waits for the first one's result, and the part of a process that
    died can be taken over (which is why its name is not a random one). The file just fetched is never the
    one removed, so the folder can exceed `max_bytes` by what is being fetched; an open file keeps its bytes
    after its name is gone.
    """

    def __init__(self, folder: Path | str, max_bytes: int, store: Store):
        self._folder, self._max_bytes, self._store = Path(folder), max_bytes, store

    def stat(self, uri: str) -> Stat:
        """`Store.stat`, with the errors of `open`."""
        with _track_errors(uri):
            return self._store.stat(uri)

    def open(self, uri: str, etag: str) -> BinaryIO:
        """The object that `stat` reported with this ETag; a local file is opened where it is.

        Raises TrackError if the object is gone, closed to us or no longer the same, and StorageError if the
        store or this node's disk fails.
        """
        if is_local(uri):
            return _open_local(uri, etag)
        with store_errors(str(self._folder)):
            return self._open_fetched(uri, etag)

    def _open_fetched(self, uri: str, etag: str) -> BinaryIO:
        cached = self._folder / hashlib.sha256(f"{uri}\n{etag}".encode()).hexdigest()
        part = cached.with_suffix(".part")
        private_folder(self._folder)
        while True:
            with suppress(FileNotFoundError):
                file = open_private(cached, "rb")
                os.utime(file.fileno())  # the time of last use
                return file
            with open_private(part, "ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not _is_same_file(lock.fileno(), part):
                    continue  # another process finished, or gave up, while this one waited
                try:
                    if not cached.exists():
                        self._fetch(uri, etag, part)
                        publish(part, cached)
                        self._evict(keep=cached)
                finally:
                    part.unlink(missing_ok=True)

    def _fetch(self, uri: str, etag: str, part: Path) -> None:
        with _track_errors(uri):
            try:
                self._store.download(uri, part, etag)
            except Replaced as error:
                raise _changed(uri, error.asked, error.found) from error

    def _evict(self, keep: Path) -> None:
        """Removes files, the least recently opened first, until the rest fits."""
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


def _open_local(uri: str, etag: str) -> BinaryIO:
    with _track_errors(uri), object_errors(uri):
        file = local_path(uri).open("rb")
    found = stat_of(os.fstat(file.fileno())).etag
    if found != etag:
        file.close()
        raise _changed(uri, etag, found)
    return file


@contextmanager
def _track_errors(uri: str) -> Iterator[None]:
    """A missing or closed object is an error of its track."""
    try:
        yield
    except FileNotFoundError as error:
        raise TrackError(uri, ErrorKind.MISSING, "no such object") from error
    except PermissionError as error:
        raise TrackError(uri, ErrorKind.DENIED, "the store does not let us read it") from error


def _unlink_unless_locked(path: Path) -> bool:
    """Whether the file is gone: a part that is being fetched stays, one that a dead process left goes."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        if path.suffix == ".part":
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        path.unlink()
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def _changed(uri: str, asked: str, found: str) -> TrackError:
    return TrackError(uri, ErrorKind.CHANGED, f"its etag is {found} now; it was {asked} when it was probed")
