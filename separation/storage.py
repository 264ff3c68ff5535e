"""fsspec with our rules: objects appear and are read whole, and an error says whose fault it is.

Any fsspec URI or plain path; S3 settings come from the usual AWS environment.

    what the store said             reading an object          anything else
    no such object                  FileNotFoundError          StorageError
    this object is not for you      PermissionError            StorageError
    no bucket, bad credentials,     StorageError               StorageError
    no answer, anything else
"""

import contextlib
import errno
import functools
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import glob_translate

from separation.errors import StorageError

S3_SETTINGS: dict[str, Any] = {
    "use_listings_cache": False,  # a cached listing misses what others wrote
    "config_kwargs": {"retries": {"mode": "standard", "max_attempts": 3}},
}
STORE_FAULTS = {"NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
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
    return isinstance(_open_store(uri)[0], LocalFileSystem)


def local_path(uri: str) -> Path:
    return Path(_open_store(uri)[1])


def stat(uri: str) -> Stat:
    fs, path = _open_store(uri)
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
    fs, path = _open_store(uri)
    if not _is_s3(fs):
        return False
    bucket, key, _ = fs.split_path(path)
    with reading(uri):
        head = fs.call_s3("head_object", Bucket=bucket, Key=key)
    return head.get("ServerSideEncryption") in (None, "AES256") and "SSECustomerAlgorithm" not in head


def read_bytes(uri: str) -> bytes:
    fs, path = _open_store(uri)
    with reading(uri):
        data: bytes = fs.cat_file(path)
        return data


def download(uri: str, target: Path) -> None:
    """The object's bytes in one stream; whether they are the right ones is for the caller to check."""
    fs, path = _open_store(uri)
    with reading(uri):
        # s3fs reads a large object in parallel ranges into a file of the full size, where a range that
        # broke off leaves a hole that no length shows.
        fs.get_file(path, str(target), **({"max_concurrency": 1} if _is_s3(fs) else {}))


def put_file(source: Path | str, uri: str) -> None:
    """The object appears whole or not at all."""
    fs, path = _open_store(uri)
    with writing(uri):
        if isinstance(fs, LocalFileSystem):
            with _replacing(Path(path)) as temporary:
                shutil.copyfile(source, temporary)
        else:
            fs.put_file(str(source), path, **({"max_concurrency": UPLOADS_IN_FLIGHT} if _is_s3(fs) else {}))


def put_bytes(data: bytes, uri: str) -> None:
    """The object appears whole or not at all."""
    fs, path = _open_store(uri)
    with writing(uri):
        if isinstance(fs, LocalFileSystem):
            with _replacing(Path(path)) as temporary:
                temporary.write_bytes(data)
        else:
            fs.pipe_file(path, data)


def remove(uris: Iterable[str]) -> None:
    """One request an object: the bulk request of s3fs swallows the errors of single keys."""
    for uri in uris:
        fs, path = _open_store(uri)
        with writing(uri), contextlib.suppress(FileNotFoundError):
            fs.rm_file(path)


def list_files(uri: str) -> Iterator[Listed]:
    """The files below a folder, or those that a glob matches, or the file itself; sorted by URI.

    An S3 listing arrives page by page, so that ten million keys need no memory. A folder that does not
    exist lists nothing. A plain path comes back as plain absolute paths.
    """
    fs, path = _open_store(uri)
    magic = re.search(r"[*?\[]", path)
    folder = path[: magic.start()].rpartition("/")[0] if magic else path
    wanted = re.compile(glob_translate(path)).match if magic else lambda _: True
    plain = "://" not in uri
    with writing(uri):
        for name, size in _walk_s3(fs, folder) if _is_s3(fs) else _walk(fs, folder):
            if wanted(name):
                yield Listed(name if plain else fs.unstrip_protocol(name), size)


def _walk_s3(fs: Any, folder: str) -> Iterator[tuple[str, int]]:
    bucket, _, key = folder.partition("/")
    if key:
        with contextlib.suppress(FileNotFoundError):
            info = fs.info(folder)
            if info["type"] == "file":
                yield folder, info["size"]
    query = {"Bucket": bucket, "Prefix": f"{key}/" if key else ""}
    while True:
        page = fs.call_s3("list_objects_v2", **query)
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/"):  # the marker of a folder made in a console
                yield f"{bucket}/{item['Key']}", item["Size"]
        if not page.get("IsTruncated"):
            return
        query["ContinuationToken"] = page["NextContinuationToken"]


def _walk(fs: Any, folder: str) -> Iterator[tuple[str, int]]:
    found = fs.find(folder, detail=True)
    for name in sorted(found):
        yield name, found[name]["size"]


@contextlib.contextmanager
def reading(uri: str) -> Iterator[None]:
    """Turns whatever a store raises into the errors of the table above."""
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        if _code(error) in STORE_FAULTS:
            raise StorageError(shown(uri), _reason(error)) from error
        number = errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EACCES
        raise type(error)(number, os.strerror(number), shown(uri)) from error
    except StorageError:
        raise
    except Exception as error:  # stores raise what their client libraries raise
        raise StorageError(shown(uri), _reason(error)) from error


@contextlib.contextmanager
def writing(uri: str) -> Iterator[None]:
    """Writing and listing have no track to blame: every failure is the store's."""
    try:
        with reading(uri):
            yield
    except OSError as error:
        raise StorageError(shown(uri), _reason(error)) from error


def shown(uri: str) -> str:
    """The URI without the user, password or signed query that it may carry."""
    uri = re.sub(r"^(\w+://)[^/@]*@", r"\1", uri)
    return uri.partition("?")[0] if re.match(r"https?://", uri) else uri


def _open_store(uri: str) -> tuple[Any, str]:
    protocol = uri.partition("://")[0]
    try:
        fs = _filesystem("file" if protocol == uri else protocol, os.getpid())
        return fs, fs._strip_protocol(uri)
    except (ValueError, ImportError) as error:  # no such protocol, or its library is not installed
        raise StorageError(shown(uri), str(error)) from error


@functools.cache
def _filesystem(protocol: str, pid: int) -> Any:
    """One a process: s3fs's event loop does not survive a fork."""
    return fsspec.filesystem(protocol, **(S3_SETTINGS if protocol in ("s3", "s3a") else {}))


def _is_s3(fs: Any) -> bool:
    return "s3" in fs.protocol


def _missing(uri: str) -> Stat:
    raise FileNotFoundError(uri)


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


def _code(error: BaseException) -> str:
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _reason(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    return f"{_code(error)}: {text}" if _code(error) else text
