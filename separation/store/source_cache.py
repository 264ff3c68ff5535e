"""The catalogue's files on this node's disk: each fetched once, verified, and shared by all processes."""

import errno
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from separation.audio.limits import DEFAULTS, Limits
from separation.errors import ErrorKind, SourceUnreachable, StorageError, TrackError
from separation.store.disk.atomic_write import publish
from separation.store.disk.full_disk import DiskFull
from separation.store.disk.local_disk import stat_of
from separation.store.disk.private_folder import open_private, private_folder
from separation.store.errors import BadAddress, NotAFile, Replaced, TooLarge, object_errors, store_errors
from separation.store.filesystems import is_local, local_path
from separation.store.metadata import Stat
from separation.store.objects import Store
from separation.store.redact import host_of, shown
from separation.store.retry import HostPatience

OF_BYTES = "sha256-"  # begins an ETag that is not the store's but the digest of the bytes

log = logging.getLogger(__name__)


class SourceCache:
    """Keeps at most `max_bytes` of objects below `folder`; the least recently opened are removed first.

    An object is the file `<sha256 of URI and ETag>-<sha256 of its bytes>`, and its bytes are compared with
    that at each opening. While a process fetches it, it is `<sha256 of URI and ETag>.part`. That process
    holds a lock on the part: a second one waits for the first one's result, and the part of a process that
    died can be taken over (which is why its name is not a random one). The file just fetched is never the
    one removed, so the folder can exceed `max_bytes` by what is being fetched; an open file keeps its bytes
    after its name is gone.

    All methods raise TrackError if the object is missing, closed to us, replaced, too large or has no
    address, SourceUnreachable if its store does not answer or refuses, which belongs to no track either,
    and StorageError if this node's disk fails.
    """

    def __init__(self, folder: Path | str, max_bytes: int, store: Store, limits: Limits = DEFAULTS):
        self._folder, self._max_bytes, self._limits = Path(folder), max_bytes, limits
        self._patience = HostPatience(replace(store.policy, patience_s=limits.source_patience_s))

    def stat(self, uri: str) -> Stat:
        """The object's size, and the ETag to `open` it by.

        Of a web server that does not say both, the object is fetched: its ETag is the digest of its bytes.
        """
        with self._source_errors(uri) as store:
            found = store.stat(uri)
        if found.bytes is not None and found.etag:
            return found
        with store_errors(str(self._folder)):
            return self._fetch_newest(uri)

    @contextmanager
    def open(self, uri: str, etag: str) -> Iterator[BinaryIO]:
        """The object that `stat` reported with this ETag; a local file is opened where it is."""
        if is_local(uri):
            with self._open_local(uri, etag) as file:
                yield file
            return
        with store_errors(str(self._folder)):
            file = self._open_fetched(uri, etag)
        with file:
            yield file

    @contextmanager
    def _open_local(self, uri: str, etag: str) -> Iterator[BinaryIO]:
        """What was read from a file that was overwritten meanwhile is of no use, nor is the error it gave."""
        with self._source_errors(uri), object_errors(uri):
            file = local_path(uri).open("rb")
        with file:
            _check_unchanged(file, uri, etag)
            try:
                yield file
            except TrackError:
                _check_unchanged(file, uri, etag)
                raise
            _check_unchanged(file, uri, etag)

    def _fetch_newest(self, uri: str) -> Stat:
        part = private_folder(self._folder) / f"{uuid4().hex}.part"
        with open_private(part, "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                digest = self._fetch(uri, None, part)
                found = Stat(part.stat().st_size, f"{OF_BYTES}{digest}")
                self._keep(part, self._folder / f"{_key(uri, found.etag)}-{digest}")
            finally:
                part.unlink(missing_ok=True)
        return found

    def _open_fetched(self, uri: str, etag: str) -> BinaryIO:
        key = _key(uri, etag)
        part = self._folder / f"{key}.part"
        private_folder(self._folder)
        while True:
            if file := self._open_cached(key):
                return file
            with open_private(part, "ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not _is_same_file(lock.fileno(), part):
                    continue  # another process finished, or gave up, while this one waited
                try:
                    if not list(self._folder.glob(f"{key}-*")):
                        digest = self._fetch(uri, etag, part)
                        self._keep(part, self._folder / f"{key}-{digest}")
                finally:
                    part.unlink(missing_ok=True)

    def _open_cached(self, key: str) -> BinaryIO | None:
        """The cached object of that key; one whose bytes are no longer those that came is removed."""
        for cached in self._folder.glob(f"{key}-*"):
            with suppress(FileNotFoundError):
                file = open_private(cached, "rb")
                digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]  # a BinaryIO is enough
                if digest.hexdigest() == cached.name.partition("-")[2]:
                    file.seek(0)
                    os.utime(file.fileno())  # the time of last use
                    return file
                file.close()
                log.warning("%s: damaged on this node's disk; it is fetched again", shown(str(cached)))
                cached.unlink()
        return None

    def _fetch(self, uri: str, etag: str | None, part: Path) -> str:
        """Puts the object at `part`, and returns the sha256 of its bytes."""
        is_of_bytes = etag is not None and etag.startswith(OF_BYTES)
        with self._source_errors(uri) as store:
            store.download(uri, part, None if is_of_bytes else etag, self._limits.source_bytes)
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if is_of_bytes and etag != f"{OF_BYTES}{digest}":
            raise _changed(uri, str(etag), f"{OF_BYTES}{digest}")
        return digest

    def _keep(self, part: Path, cached: Path) -> None:
        publish(part, cached)
        self._evict(keep=cached)

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

    @contextmanager
    def _source_errors(self, uri: str) -> Iterator[Store]:
        """A store that is as patient as the source's host deserves; what it raises, as whose fault it is."""
        host = host_of(uri)
        try:
            yield Store(self._patience.policy(host))
        except DiskFull:
            raise
        except StorageError as error:
            if isinstance(error, BadAddress):
                raise TrackError(uri, ErrorKind.BAD_URI, error.reason) from error
            if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EROFS:
                raise StorageError(str(self._folder), error.reason) from error
            self._patience.failed(host)
            raise SourceUnreachable(uri, error.reason) from error
        except TooLarge as error:
            raise TrackError(uri, ErrorKind.TOO_LARGE, error.reason) from error
        except Replaced as error:
            raise _changed(uri, error.asked, error.found) from error
        except NotAFile as error:
            raise TrackError(uri, ErrorKind.BAD_URI, error.reason) from error
        except FileNotFoundError as error:
            raise TrackError(uri, ErrorKind.MISSING, "no such object") from error
        except PermissionError as error:
            raise TrackError(uri, ErrorKind.DENIED, "the store does not let us read it") from error
        else:
            self._patience.answered(host)


def _key(uri: str, etag: str) -> str:
    return hashlib.sha256(f"{uri}\n{etag}".encode()).hexdigest()


def _check_unchanged(file: BinaryIO, uri: str, etag: str) -> None:
    if (found := stat_of(os.fstat(file.fileno())).etag) != etag:
        raise _changed(uri, etag, found)


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
