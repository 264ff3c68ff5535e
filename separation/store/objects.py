"""Whole objects at any fsspec URI or plain path: `Store` reads, writes, lists and removes them.

S3's settings come from the usual AWS environment. errors.py says what a failure means, retry.py how long a
failing store is tried again.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fsspec.implementations.http import HTTPFileSystem
from fsspec.implementations.local import LocalFileSystem

from separation.store.disk.full_disk import room_in
from separation.store.disk.local_disk import LocalLocation
from separation.store.errors import Replaced, store_errors
from separation.store.filesystems import is_s3, open_store
from separation.store.http import HttpLocation
from separation.store.location import Location
from separation.store.metadata import Listed, Stat, Upload
from separation.store.redact import shown
from separation.store.retry import RetryPolicy
from separation.store.s3 import S3Location


@dataclass(frozen=True, slots=True)
class Store:
    """All stores that fsspec reaches. Small, and the same after pickling in any process.

    An object that a caller reads and that is missing or closed to us raises FileNotFoundError or
    PermissionError; every other failure raises StorageError, a full local disk its kind DiskFull.
    """

    policy: RetryPolicy

    def stat(self, uri: str) -> Stat:
        """The object's size and ETag, as far as the store says them."""
        return self._at(uri).stat()

    def read_bytes(self, uri: str) -> bytes:
        """The object's bytes; on S3 verified as `download` does."""
        return self._at(uri).read_bytes()

    def digest(self, uri: str) -> tuple[int, str]:
        """Size and sha256 of the bytes that a reader gets now, read piece by piece."""
        return self._at(uri).digest()

    def download(self, uri: str, target: Path, etag: str | None = None, most: int | None = None) -> None:
        """Copies the object to `target`, verified by length and by the store's checksum or ETag of the bytes.

        Raises `Replaced` if `etag` is given, and the object has another one; `TooLarge` if it has more than
        `most` bytes, whatever the store said of its size; `DiskFull` if it finds no room.
        """
        with room_in(target.parent):
            found = self._at(uri).download(target, etag, most)
        if etag is not None and found != etag:
            raise Replaced(shown(uri), etag, found)

    def put_file(self, source: Path | str, uri: str) -> None:
        """The object appears whole or not at all."""
        with store_errors(str(source)), open(source, "rb") as file:
            self._at(uri).put(file)

    def put_bytes(self, data: bytes, uri: str) -> None:
        """The object appears whole or not at all."""
        self._at(uri).put(io.BytesIO(data))

    def create_bytes(self, data: bytes, uri: str) -> bool:
        """Whether the object is `data` because it was not there before; of many writers, one gets True.

        `data` must be each writer's own: where the store's answer is lost, the writer that won is told
        "exists" at its next try (S3's 412), so what is there decides.
        """
        self._at(uri).create(data)
        return self.read_bytes(uri) == data

    def remove(self, uris: Iterable[str]) -> None:
        """Removes objects, one request each: s3fs's bulk request swallows the errors of single keys.

        An object that is gone already is no error.
        """
        for uri in uris:
            self._at(uri).remove()

    def list_files(self, uri: str) -> Iterator[Listed]:
        """The files below a folder, or the file itself; sorted by URI.

        An S3 listing arrives page by page, so that ten million keys need no memory. A folder that does not
        exist lists nothing. A plain path comes back as plain absolute paths.
        """
        yield from self._at(uri).list_files()

    def find_files(self, uri: str, pattern: str = "") -> Iterator[Listed]:
        """As `list_files`, for folders that people keep: links to folders are followed.

        With `pattern`, a glob, only the files whose paths below `uri` match it.
        """
        yield from self._at(uri).find_files(pattern)

    def list_uploads(self, uri: str) -> Iterator[Upload]:
        """What writers that died have left below the folder: it takes space, and no listing of S3 shows it.

        Raises `NotOffered` where a store cannot list them.
        """
        yield from self._at(uri).list_uploads()

    def end_upload(self, upload: Upload) -> None:
        """Gives up an unfinished upload; one that has ended meanwhile is no error."""
        self._at(upload.uri).end_upload(upload.upload_id)

    def _at(self, uri: str) -> Location:
        fs, path = open_store(uri)
        if is_s3(fs):
            return S3Location(uri, fs, path, self.policy)
        if isinstance(fs, HTTPFileSystem):
            return HttpLocation(uri, fs, path, self.policy)
        if isinstance(fs, LocalFileSystem):
            return LocalLocation(uri, fs, path, self.policy)
        return Location(uri, fs, path, self.policy)
