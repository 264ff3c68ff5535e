"""What can be done at one URI of a store, with nothing but fsspec.

Each public method is one operation of `Store`, errors translated and tried again. local_disk.py, s3.py and
http.py override those that their stores can do better.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from fsspec.utils import glob_translate

from separation.store.errors import DamagedRead, TooLarge, error_code, object_errors, store_errors
from separation.store.etags import SeekableBytes
from separation.store.metadata import Listed, Stat, Upload
from separation.store.redact import shown
from separation.store.retry import RetryPolicy, call

PIECE = 16 << 20  # bytes of an object that are in memory while it is hashed
P = ParamSpec("P")
T = TypeVar("T")
Found = tuple[str, int, datetime | None]  # path, bytes, when it was written


@dataclass(frozen=True)
class Location:
    """An object or a folder: `path` in the filesystem `fs`, which its user knows as `uri`."""

    uri: str
    fs: Any
    path: str
    policy: RetryPolicy

    def on_object(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Reads this object; if it is missing or closed, that is FileNotFoundError or PermissionError."""
        return call(self.uri, partial(operation, *args, **kwargs), object_errors, self.policy)

    def on_store(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Writes, removes or lists; every failure is the store's."""
        return call(self.uri, partial(operation, *args, **kwargs), store_errors, self.policy)

    def stat(self) -> Stat:
        return self.on_object(self._stat)

    def _stat(self) -> Stat:
        try:
            info = self.fs.info(self.path)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                # HEAD has no body: only GET says what is refused, and why
                self.fs.cat_file(self.path, start=0, end=1)
            raise
        if info["type"] != "file":
            raise FileNotFoundError(self.uri)
        etag = info.get("ETag") or info.get("etag") or self.fs.ukey(self.path)
        return Stat(info["size"], etag.strip('"'))

    def read_bytes(self) -> bytes:
        data: bytes = self.on_object(self.fs.cat_file, self.path)
        return data

    def download(self, target: Path, etag: str | None = None, most: int | None = None) -> str:
        """Copies the object to `target`, verified, and returns its ETag.

        If that is not `etag`, the bytes at `target` need not be the object's. Raises `TooLarge` for an object
        of more than `most` bytes, once those have come.
        """
        return self.on_object(self._download, target, etag, most)

    def _download(self, target: Path, etag: str | None, most: int | None) -> str:
        arrived = 0
        with self.fs.open(self.path, "rb", block_size=PIECE) as source, target.open("wb") as file:
            while piece := source.read(PIECE):
                arrived += len(piece)
                self.check_size(arrived, most)
                file.write(piece)
        now = self.stat()
        if arrived != now.bytes:
            raise DamagedRead(shown(self.uri), f"{arrived} bytes arrived of {now.bytes}")
        return now.etag

    def check_size(self, found: int | None, most: int | None) -> None:
        """Raises `TooLarge` if `found` bytes, if that is known, are more than `most`, if there is a limit."""
        if found is not None and most is not None and found > most:
            reason = f"an object of {found / 1e9:.2f} GB or more; the limit is {most / 1e9:g} GB"
            raise TooLarge(self.uri, reason)

    def digest(self) -> tuple[int, str]:
        size, sha256, read = self.stat().bytes or 0, hashlib.sha256(), 0
        while read < size:
            end = min(read + PIECE, size)
            piece: bytes = self.on_object(self.fs.cat_file, self.path, start=read, end=end)
            if not piece:
                break  # the object is shorter now
            sha256.update(piece)
            read += len(piece)
        return read, sha256.hexdigest()

    def put(self, data: SeekableBytes) -> None:
        self.on_store(self._put, data)

    def _put(self, data: SeekableBytes) -> None:
        data.seek(0)
        self.fs.pipe_file(self.path, data.read())

    def create(self, data: bytes) -> None:
        """Writes the object unless there is one."""
        self.on_store(self._create, data)

    def _create(self, data: bytes) -> None:
        try:
            self.fs.pipe_file(self.path, data, mode="create")
        except OSError as error:  # FileExistsError only from stores that name the condition, as AWS does
            if not (isinstance(error, FileExistsError) or error_code(error) == "PreconditionFailed"):
                raise

    def remove(self) -> None:
        self.on_store(self._remove)

    def _remove(self) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm_file(self.path)

    def list_files(self) -> Iterator[Listed]:
        """The file itself, or those below the folder, sorted; no character of the path stands for others."""
        yield from self._listed(self._walk(self.path, self._inside))

    def find_files(self, pattern: str) -> Iterator[Listed]:
        """As `list_files`, and through links to folders; with a `pattern`, the files below that match it."""
        if not pattern:
            yield from self._listed(self._walk(self.path, self._inside, follow_links=True))
            return
        matches = re.compile(glob_translate(pattern)).match
        literal = self._inside + re.split(r"[*?\[]", pattern, maxsplit=1)[0]
        found = self._walk("", literal, follow_links=True)
        yield from self._listed(each for each in found if matches(each[0].removeprefix(self._inside)))

    @property
    def _inside(self) -> str:
        """How the paths below this folder begin."""
        return f"{self.path.rstrip('/')}/"

    def _listed(self, found: Iterable[Found]) -> Iterator[Listed]:
        """Spelled as this location's URI is, which several spellings may reach; a plain path is absolute."""
        folder = f"{self.uri.rstrip('/')}/"
        for path, size, modified in found:
            if "://" not in self.uri:
                uri = path
            elif path.startswith(self._inside):
                uri = folder + path.removeprefix(self._inside)
            else:
                uri = self.uri
            yield Listed(uri, size, modified)

    def _walk(self, file: str, prefix: str, *, follow_links: bool = False) -> Iterator[Found]:
        """The file `file`, if there is one, and all whose paths begin with `prefix`, sorted.

        `follow_links` is for stores that link folders.
        """
        found = self.on_store(self.fs.find, file or prefix.rpartition("/")[0], detail=True)
        for path in sorted(found):
            modified = found[path].get("mtime")
            moment = datetime.fromtimestamp(modified, UTC) if isinstance(modified, int | float) else None
            yield path, found[path]["size"], moment

    def list_uploads(self) -> Iterator[Upload]:
        return iter(())

    def end_upload(self, upload_id: str) -> None:
        """Ends an upload without an object; one that has ended meanwhile is no error."""
        self.remove()
