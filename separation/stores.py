"""Which store a URI belongs to, and whose fault its errors are.

    what the store said             reading an object          anything else
    no such object                  FileNotFoundError          StorageError
    this object is not for you      PermissionError            StorageError
    no bucket, bad credentials,     StorageError               StorageError
    no answer, anything else

The first two are errors of one track; a StorageError is nobody's, and stops the job.
"""

import contextlib
import errno
import functools
import os
from collections.abc import Iterator
from typing import Any

import fsspec
from botocore.exceptions import FlexibleChecksumError

from separation.errors import SeparationError, StorageError
from separation.showing import shown, without_credentials

S3_SETTINGS: dict[str, Any] = {
    "use_listings_cache": False,  # a cached listing misses what others wrote
    "config_kwargs": {"retries": {"mode": "standard", "max_attempts": 3}},
}
STORE_FAULTS = {"NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}


class DamagedRead(StorageError):
    """The bytes that arrived are not the object's; the next try may do better."""


def open_store(uri: str) -> tuple[Any, str]:
    """The filesystem of a URI or plain path, and the path in it."""
    protocol = uri.partition("://")[0]
    try:
        fs = _filesystem("file" if protocol == uri else protocol, os.getpid())
        return fs, fs._strip_protocol(uri)
    except (ValueError, ImportError) as error:  # no such protocol, or its library is not installed
        raise StorageError(shown(uri), without_credentials(str(error))) from _telling(error)


@functools.cache
def _filesystem(protocol: str, pid: int) -> Any:
    """One a process: s3fs's event loop does not survive a fork."""
    return fsspec.filesystem(protocol, **(S3_SETTINGS if protocol in ("s3", "s3a") else {}))


def is_s3(fs: Any) -> bool:
    return "s3" in fs.protocol


@contextlib.contextmanager
def reading(uri: str) -> Iterator[None]:
    """Turns whatever a store raises into the errors of the table above."""
    try:
        yield
    except (FileNotFoundError, PermissionError) as error:
        if _code(error) in STORE_FAULTS:
            raise StorageError(shown(uri), _reason(error)) from _telling(error)
        number = errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EACCES
        raise type(error)(number, os.strerror(number), shown(uri)) from _telling(error)
    except SeparationError:
        raise
    except FlexibleChecksumError as error:
        raise DamagedRead(shown(uri), _reason(error)) from _telling(error)
    except Exception as error:  # stores raise what their client libraries raise
        raise StorageError(shown(uri), _reason(error)) from _telling(error)


@contextlib.contextmanager
def writing(uri: str) -> Iterator[None]:
    """Writing and listing have no track to blame: every failure is the store's."""
    try:
        with reading(uri):
            yield
    except OSError as error:
        raise StorageError(shown(uri), _reason(error)) from _telling(error)


def _code(error: BaseException) -> str:
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _reason(error: BaseException) -> str:
    text = without_credentials(str(error)) or type(error).__name__
    return f"{_code(error)}: {text}" if _code(error) else text


def _telling(error: BaseException) -> BaseException | None:
    """The error as another's cause, unless its text, or that of a cause of its own, tells credentials.

    Ray logs causes as they are.
    """
    each: BaseException | None = error
    while each is not None:
        if without_credentials(str(each)) != str(each):
            return None
        each = each.__cause__ or each.__context__
    return error
