"""fsspec with our rules: objects appear and are read whole. Any fsspec URI or plain path.

S3 settings come from the usual AWS environment; `stores` says which error means what.
"""

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from separation.stores import is_s3, open_store, reading, writing

UPLOADS_IN_FLIGHT = 2  # parts of 50 MiB held in memory while a large file is put; s3fs would hold ten


@dataclass(frozen=True, slots=True)
class Stat:
    """An object's size, and a mark that changes when the object does (S3's ETag, without quotes)."""

    bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class Listed:
    uri: str
    bytes: int


def join(root: str, key: str) -> str:
    return f"{root.rstrip('/')}/{key}"


def is_local(uri: str) -> bool:
    return isinstance(open_store(uri)[0], LocalFileSystem)


def local_path(uri: str) -> Path:
    return Path(open_store(uri)[1])


def stat(uri: str) -> Stat:
    fs, path = open_store(uri)
    with reading(uri):
        if isinstance(fs, LocalFileSystem):
            return stat_of(os.stat(path)) if os.path.isfile(path) else _missing(uri)
        try:
            info = fs.info(path)
        except PermissionError:
            fs.cat_file(path, start=0, end=1)  # HEAD has no body: only GET says which permission failed
            raise
        if info["type"] != "file":
            _missing(uri)
        etag = info.get("ETag") or info.get("etag") or fs.ukey(path)
        return Stat(info["size"], etag.strip('"'))


def stat_of(found: os.stat_result) -> Stat:
    """A local file's Stat."""
    return Stat(found.st_size, f"{found.st_size}-{found.st_mtime_ns}")


def etag_is_md5(uri: str) -> bool:
    """Whether a 32-digit ETag is the MD5 of the bytes: S3's is not if a key of KMS or the client encrypts."""
    fs, path = open_store(uri)
    if not is_s3(fs):
        return False
    bucket, key, _ = fs.split_path(path)
    with reading(uri):
        head = fs.call_s3("head_object", Bucket=bucket, Key=key)
    return head.get("ServerSideEncryption") in (None, "AES256") and "SSECustomerAlgorithm" not in head


def read_bytes(uri: str) -> bytes:
    fs, path = open_store(uri)
    with reading(uri):
        data: bytes = fs.cat_file(path)
        return data


def download(uri: str, target: Path) -> None:
    """The object's bytes in one stream, which the caller has to compare with the object's size and etag.

    Raises DamagedRead if the store sent a checksum that the bytes do not have.
    """
    fs, path = open_store(uri)
    with reading(uri):
        # s3fs reads a large object in parallel ranges into a file of the full size, where a range that
        # broke off leaves a hole that no length shows.
        fs.get_file(path, str(target), **({"max_concurrency": 1} if is_s3(fs) else {}))


def put_file(source: Path | str, uri: str) -> None:
    """The object appears whole or not at all."""
    fs, path = open_store(uri)
    with writing(uri):
        if isinstance(fs, LocalFileSystem):
            with _replacing(Path(path)) as temporary:
                shutil.copyfile(source, temporary)
        else:
            fs.put_file(str(source), path, **({"max_concurrency": UPLOADS_IN_FLIGHT} if is_s3(fs) else {}))


def put_bytes(data: bytes, uri: str) -> None:
    """The object appears whole or not at all."""
    fs, path = open_store(uri)
    with writing(uri):
        if isinstance(fs, LocalFileSystem):
            with _replacing(Path(path)) as temporary:
                temporary.write_bytes(data)
        else:
            fs.pipe_file(path, data)


def create_bytes(data: bytes, uri: str) -> bool:
    """Whether the object is `data` because it was not there before; of many writers, one gets True.

    `data` must be each writer's own: where the store's answer is lost, it says "exists" to the next try of
    the one who won (S3's 412), so what is there decides.
    """
    fs, path = open_store(uri)
    with writing(uri):
        if isinstance(fs, LocalFileSystem):
            _create_local(data, Path(path))
        else:
            with contextlib.suppress(FileExistsError):
                fs.pipe_file(path, data, mode="create")
    return read_bytes(uri) == data


def remove(uris: Iterable[str]) -> None:
    """One request an object: the bulk request of s3fs swallows the errors of single keys."""
    for uri in uris:
        fs, path = open_store(uri)
        with writing(uri), contextlib.suppress(FileNotFoundError):
            fs.rm_file(path)


def list_files(uri: str) -> Iterator[Listed]:
    """The files below a folder, or those that a glob matches, or the file itself; sorted by URI.

    An S3 listing arrives page by page, so that ten million keys need no memory. A folder that does not
    exist lists nothing. A plain path comes back as plain absolute paths.
    """
    fs, path = open_store(uri)
    walk = _walk_s3 if is_s3(fs) else _walk
    magic = re.search(r"[*?\[]", path)
    with writing(uri):
        if magic is None:
            found = walk(fs, path, f"{path}/")
        else:
            matches = re.compile(glob_translate(path)).match
            literal = path[: magic.start()]
            found = ((name, size) for name, size in walk(fs, "", literal) if matches(name))
        for name, size in found:
            yield Listed(name if "://" not in uri else fs.unstrip_protocol(name), size)


def _walk_s3(fs: Any, file: str, prefix: str) -> Iterator[tuple[str, int]]:
    """The object `file`, if there is one, and those whose names begin with `prefix`."""
    bucket, _, key = prefix.partition("/")
    if "/" in file:
        with contextlib.suppress(FileNotFoundError):
            info = fs.info(file)
            if info["type"] == "file":
                yield file, info["size"]
    query = {"Bucket": bucket, "Prefix": key}
    while True:
        page = fs.call_s3("list_objects_v2", **query)
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/"):  # the marker of a folder made in a console
                yield f"{bucket}/{item['Key']}", item["Size"]
        if not page.get("IsTruncated"):
            return
        query["ContinuationToken"] = page["NextContinuationToken"]


def _walk(fs: Any, file: str, prefix: str) -> Iterator[tuple[str, int]]:
    found = fs.find(file or prefix.rpartition("/")[0], detail=True)
    for name in sorted(found):
        yield name, found[name]["size"]


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
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
