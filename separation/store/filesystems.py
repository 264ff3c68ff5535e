"""The fsspec filesystem of a URI, with S3's settings."""

import functools
import os
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from separation.errors import StorageError
from separation.store.errors import harmless
from separation.store.redact import shown, without_credentials

S3_SETTINGS: dict[str, Any] = {
    "use_listings_cache": False,  # a cached listing misses what others wrote
    "config_kwargs": {
        "retries": {"mode": "standard", "max_attempts": 3},
        "connect_timeout": 10,
        "read_timeout": 20,  # seconds without a byte; S3 answers in tenths of one
    },
}


def open_store(uri: str) -> tuple[Any, str]:
    """The filesystem of a URI or plain path, and the path in it."""
    protocol = uri.partition("://")[0]
    try:
        fs = _filesystem("file" if protocol == uri else protocol, os.getpid())
        return fs, fs._strip_protocol(uri)
    except (ValueError, ImportError) as error:  # no such protocol, or its library is not installed
        raise StorageError(shown(uri), without_credentials(str(error))) from harmless(error)


@functools.cache
def _filesystem(protocol: str, pid: int) -> Any:
    """One per process: s3fs's event loop does not survive a fork."""
    fs = fsspec.filesystem(protocol, **(S3_SETTINGS if protocol in ("s3", "s3a") else {}))
    if is_s3(fs):
        fs.retries = 1  # botocore's tries and `retry.call`'s are enough; s3fs's five would multiply them
    return fs


def is_s3(fs: Any) -> bool:
    return "s3" in fs.protocol


def is_local(uri: str) -> bool:
    return isinstance(open_store(uri)[0], LocalFileSystem)


def local_path(uri: str) -> Path:
    return Path(open_store(uri)[1])


def join(root: str, key: str) -> str:
    return f"{root.rstrip('/')}/{key}"
