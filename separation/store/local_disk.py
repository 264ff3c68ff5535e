"""The operations of `Location` on local files."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from separation.store.atomic_write import UNFINISHED, atomic_create, atomic_write
from separation.store.etags import SeekableBytes
from separation.store.location import Location
from separation.store.metadata import Stat, Upload


def stat_of(found: os.stat_result) -> Stat:
    """A local file's `Stat`. Whoever replaces a file can keep its size and its time, but not its ctime."""
    return Stat(found.st_size, f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}")


class LocalLocation(Location):
    def _stat(self) -> Stat:
        if not os.path.isfile(self.path):
            raise FileNotFoundError(self.uri)
        return stat_of(os.stat(self.path))

    def digest(self) -> tuple[int, str]:
        return self.on_object(self._digest)

    def _digest(self) -> tuple[int, str]:
        with open(self.path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), sha256

    def _put(self, data: SeekableBytes) -> None:
        data.seek(0)
        with atomic_write(Path(self.path)) as temporary, temporary.open("wb") as file:
            shutil.copyfileobj(data, file)

    def _create(self, data: bytes) -> None:
        atomic_create(Path(self.path), data)

    def list_uploads(self) -> Iterator[Upload]:
        for file in self.list_files():
            if UNFINISHED.fullmatch(file.uri.rpartition("/")[2]):
                yield Upload(file.uri, "", file.modified)
