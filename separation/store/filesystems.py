"""The fsspec filesystem of a URI, with the settings of S3 and of web servers."""

import functools
import os
from pathlib import Path
from typing import Any

import aiohttp
import fsspec
from fsspec.implementations.local import LocalFileSystem

from separation.store.errors import BadAddress, harmless
from separation.store.redact import shown, with_lower_scheme, without_credentials

S3_SETTINGS: dict[str, Any] = {
    "use_listings_cache": False,  # a cached listing misses what others wrote
    "config_kwargs": {
        "retries": {"mode": "standard", "max_attempts": 3},
        "connect_timeout": 10,
        "read_timeout": 20,  # seconds without a byte; S3 answers in tenths of one
    },
}


HTTP_SETTINGS: dict[str, Any] = {
    # By default, aiohttp ends every download after five minutes.
    "client_kwargs": {"timeout": aiohttp.ClientTimeout(total=None, connect=20, sock_connect=10, sock_read=20)}
}
NO_FILES = {"data"}  # schemes of fsspec whose addresses are the data themselves
SETTINGS = {"s3": S3_SETTINGS, "s3a": S3_SETTINGS, "http": HTTP_SETTINGS, "https": HTTP_SETTINGS}


def open_store(uri: str) -> tuple[Any, str]:
    """The filesystem of a URI or plain path, and the path in it.

    Raises `BadAddress` for a scheme without a filesystem here, or whose filesystem needs more than the URI.
    """
    uri = with_lower_scheme(uri)
    protocol = uri.partition("://")[0]
    try:
        if protocol in NO_FILES:
            raise ValueError(protocol)
        fs = _filesystem("file" if protocol == uri else protocol, os.getpid())
        return fs, fs._strip_protocol(uri)
    except Exception as error:  # each filesystem has its own way to say what it lacks
        missing = f": {error}" if isinstance(error, ImportError) else ""
        reason = without_credentials(f"{protocol}:// is not offered{missing}")
        raise BadAddress(shown(uri), reason) from harmless(error)


@functools.cache
def _filesystem(protocol: str, pid: int) -> Any:
    """One per process: s3fs's event loop does not survive a fork."""
    fs = fsspec.filesystem(protocol, **SETTINGS.get(protocol, {}))
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
