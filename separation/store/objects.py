"""fsspec with our rules: objects appear and are read whole. Any fsspec URI or plain path.

S3 settings come from the usual AWS environment; `stores` says which error means what, `patience` how
long a store that fails is waited for.
"""

import contextlib
import hashlib
import io
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from separation.errors import SeparationError
from separation.store import s3
from separation.store.filesystems import DamagedRead, code, is_s3, open_store, reading, writing
from separation.store.redact import shown
from separation.store.retry import patiently

UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.part")  # local files that `_replacing` writes
PIECE = 16 << 20  # bytes of an object that are in memory while it is hashed


class Replaced(SeparationError):
    """The object has another ETag than the one that was asked for."""

    def __init__(self, uri: str, asked: str, found: str):
        super().__init__(uri, asked, found)
        self.uri, self.asked, self.found = uri, asked, found

    def __str__(self) -> str:
        return f"{self.uri}: its etag is {self.found} now; it was {self.asked} when it was probed"


@dataclass(frozen=True, slots=True)
class Stat:
    """An object's size, and a mark that changes when the object does (S3's ETag, without quotes)."""

    bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Listed:
    """`modified` is None where a store does not say when."""

    uri: str
    bytes: int
    modified: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes on their way to `uri` that have not arrived there: S3's upload of that id, or a local file."""

    uri: str
    upload_id: str
    started: datetime | None


def join(root: str, key: str) -> str:
    return f"{root.rstrip('/')}/{key}"


def is_local(uri: str) -> bool:
    return isinstance(open_store(uri)[0], LocalFileSystem)


def local_path(uri: str) -> Path:
    return Path(open_store(uri)[1])


def stat(uri: str) -> Stat:
    fs, path = open_store(uri)

    def attempt() -> Stat:
        with reading(uri):
            if isinstance(fs, LocalFileSystem):
                return stat_of(os.stat(path)) if os.path.isfile(path) else _missing(uri)
            try:
                info = fs.info(path)
            except OSError as error:
                if not isinstance(error, FileNotFoundError):
                    fs.cat_file(
                        path, start=0, end=1
                    )  # HEAD has no body: only GET says what is refused, and why
                raise
            if info["type"] != "file":
                _missing(uri)
            etag = info.get("ETag") or info.get("etag") or fs.ukey(path)
            return Stat(info["size"], etag.strip('"'))

    return patiently(attempt)


def stat_of(found: os.stat_result) -> Stat:
    """A local file's Stat."""
    return Stat(found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


def read_bytes(uri: str) -> bytes:
    fs, path = open_store(uri)
    data = io.BytesIO()
    if is_s3(fs):
        s3.get(fs, uri, path, data)
        return data.getvalue()

    def attempt() -> bytes:
        with reading(uri):
            found: bytes = fs.cat_file(path)
            return found

    return patiently(attempt)


def download(uri: str, target: Path, etag: str | None = None) -> None:
    """The object's bytes, verified by length and by the store's checksum or ETag where it means the bytes.

    Raises `Replaced` if `etag` is given, and the object has another one.
    """
    fs, path = open_store(uri)

    def attempt() -> str:
        with reading(uri):
            fs.get_file(path, str(target))
        now = stat(uri)
        if (size := target.stat().st_size) != now.bytes:
            raise DamagedRead(shown(uri), f"{size} bytes arrived of {now.bytes}")
        return now.etag

    if is_s3(fs):
        with target.open("w+b") as file:
            found = s3.get(fs, uri, path, file, etag)
    else:
        found = patiently(attempt)
    if etag is not None and found != etag:
        raise Replaced(shown(uri), etag, found)


def digest(uri: str) -> tuple[int, str]:
    """Size and sha256 of the bytes that a reader gets now, read piece by piece."""
    fs, path = open_store(uri)
    if isinstance(fs, LocalFileSystem):
        with reading(uri), open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), sha256
    size, hashed, read = stat(uri).bytes, hashlib.sha256(), 0

    def attempt() -> bytes:
        with reading(uri):
            piece: bytes = fs.cat_file(path, start=read, end=min(read + PIECE, size))
            return piece

    while read < size and (piece := patiently(attempt)):
        hashed.update(piece)
        read += len(piece)
    return read, hashed.hexdigest()


def put_file(source: Path | str, uri: str) -> None:
    """The object appears whole or not at all."""
    with writing(str(source)), open(source, "rb") as file:
        _put(file, uri)


def put_bytes(data: bytes, uri: str) -> None:
    """The object appears whole or not at all."""
    _put(io.BytesIO(data), uri)


def _put(data: s3.Bytes, uri: str) -> None:
    fs, path = open_store(uri)
    if is_s3(fs):
        s3.put(fs, uri, path, data)
        return

    def attempt() -> None:
        data.seek(0)
        with writing(uri):
            if isinstance(fs, LocalFileSystem):
                with _replacing(Path(path)) as temporary, temporary.open("wb") as file:
                    shutil.copyfileobj(data, file)
            else:
                fs.pipe_file(path, data.read())

    patiently(attempt)


def create_bytes(data: bytes, uri: str) -> bool:
    """Whether the object is `data` because it was not there before; of many writers, one gets True.

    `data` must be each writer's own: where the store's answer is lost, it says "exists" to the next try of
    the one who won (S3's 412), so what is there decides.
    """
    fs, path = open_store(uri)

    def attempt() -> None:
        with writing(uri):
            if isinstance(fs, LocalFileSystem):
                _create_local(data, Path(path))
                return
            try:
                fs.pipe_file(path, data, mode="create")
            except OSError as error:  # FileExistsError only from stores that name the condition, as AWS does
                if not (isinstance(error, FileExistsError) or code(error) == "PreconditionFailed"):
                    raise

    patiently(attempt)
    return read_bytes(uri) == data


def remove(uris: Iterable[str]) -> None:
    """One request an object: the bulk request of s3fs swallows the errors of single keys."""
    for uri in uris:
        _remove(uri)


def _remove(uri: str) -> None:
    fs, path = open_store(uri)

    def attempt() -> None:
        with writing(uri), contextlib.suppress(FileNotFoundError):
            fs.rm_file(path)

    patiently(attempt)


def list_files(uri: str) -> Iterator[Listed]:
    """The files below a folder, or those that a glob matches, or the file itself; sorted by URI.

    An S3 listing arrives page by page, so that ten million keys need no memory. A folder that does not
    exist lists nothing. A plain path comes back as plain absolute paths.
    """
    fs, path = open_store(uri)
    walk = s3.walk if is_s3(fs) else _walk
    magic = re.search(r"[*?\[]", path)
    if magic is None:
        found = walk(fs, uri, path, f"{path}/")
    else:
        matches = re.compile(glob_translate(path)).match
        literal = path[: magic.start()]
        found = (each for each in walk(fs, uri, "", literal) if matches(each[0]))
    for name, size, modified in found:
        yield Listed(name if "://" not in uri else fs.unstrip_protocol(name), size, modified)


def list_uploads(uri: str) -> Iterator[Upload]:
    """What writers that died have left below the folder: it takes room, and no listing of S3 shows it."""
    fs, path = open_store(uri)
    if is_s3(fs):
        for name, upload_id, started in s3.uploads(fs, uri, path):
            yield Upload(f"s3://{name}", upload_id, started)
    elif isinstance(fs, LocalFileSystem):
        for file in list_files(uri):
            if UNFINISHED.fullmatch(file.uri.rpartition("/")[2]):
                yield Upload(file.uri, "", file.modified)


def end_upload(upload: Upload) -> None:
    """Gives up an unfinished upload; one that has ended meanwhile is none."""
    if upload.upload_id:
        fs, path = open_store(upload.uri)
        s3.end_upload(fs, upload.uri, path, upload.upload_id)
    else:
        remove([upload.uri])


def _walk(fs: Any, uri: str, file: str, prefix: str) -> Iterator[s3.Found]:
    def attempt() -> dict[str, Any]:
        with writing(uri):
            found: dict[str, Any] = fs.find(file or prefix.rpartition("/")[0], detail=True)
            return found

    found = patiently(attempt)
    for name in sorted(found):
        modified = found[name].get("mtime")
        moment = datetime.fromtimestamp(modified, UTC) if isinstance(modified, int | float) else None
        yield name, found[name]["size"], moment


def _missing(uri: str) -> Stat:
    raise FileNotFoundError(uri)


def _create_local(data: bytes, path: Path) -> None:
    """A link is made or refused; the file below the name is whole by then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        temporary.write_bytes(data)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid.uuid4().hex}.part"  # as UNFINISHED has it
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
