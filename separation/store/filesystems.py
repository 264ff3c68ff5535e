"""Which store a URI belongs to, and whose fault its errors are.

    what the store said                     reading an object          anything else
    no such object                          FileNotFoundError          StorageError
    this object is not for you              PermissionError            StorageError
    busy, broken connection, no answer      Interrupted                Interrupted
    no such operation                       NotOffered                 NotOffered
    no bucket, bad credentials, other       StorageError               StorageError

The first two are errors of one track. `patience` tries again what is Interrupted. A StorageError is
nobody's, and stops the job.
"""

import contextlib
import errno
import functools
import os
from collections.abc import Iterator
from typing import Any

import aiohttp
import fsspec
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from separation.errors import NotOffered, SeparationError, StorageError
from separation.store.redact import shown, without_credentials

S3_SETTINGS: dict[str, Any] = {
    "use_listings_cache": False,  # a cached listing misses what others wrote
    "config_kwargs": {
        "retries": {"mode": "standard", "max_attempts": 3},
        "connect_timeout": 10,
        "read_timeout": 20,  # seconds without a byte; S3 answers in tenths of one
    },
}
# A 4xx that says nothing about the request: the same one may succeed.
PASSING = {
    *("BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"),  # damaged on its way
    *("RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "SlowDown", "Throttling"),
    "NoSuchUpload",  # an upload that is complete already: the answer to that was lost
}
# What a store says of one object; "" is a local file's error. Of others, Denied and NotFound are its own.
OF_THE_OBJECT = {"", "AccessDenied", "403", "Forbidden", "InvalidObjectState", "NoSuchKey", "404", "NotFound"}
CONNECTION_ERRORS = (
    aiohttp.ClientError,
    botocore.ConnectionError,
    botocore.CredentialRetrievalError,  # the service that hands out short-lived keys did not answer
    botocore.HTTPClientError,
    botocore.IncompleteReadError,
    ConnectionError,
    ResponseParserError,  # a proxy's page of HTML
    TimeoutError,
)


class Interrupted(StorageError):
    """The store was busy or the connection broke; the next try may do better."""


class DamagedRead(Interrupted):
    """The bytes that arrived are not the object's."""


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
    fs = fsspec.filesystem(protocol, **(S3_SETTINGS if protocol in ("s3", "s3a") else {}))
    if is_s3(fs):
        fs.retries = 1  # botocore's tries and ours are enough; s3fs's five between them would multiply
    return fs


def is_s3(fs: Any) -> bool:
    return "s3" in fs.protocol


@contextlib.contextmanager
def reading(uri: str) -> Iterator[None]:
    """Turns whatever a store raises into the errors of the table above."""
    try:
        yield
    except SeparationError:
        raise
    except botocore.FlexibleChecksumError as error:
        raise DamagedRead(shown(uri), _reason(error)) from _telling(error)
    except Exception as error:  # stores raise what their client libraries raise
        if _is_passing(error):
            raise Interrupted(shown(uri), _reason(error)) from _telling(error)
        if not isinstance(error, FileNotFoundError | PermissionError) or code(error) not in OF_THE_OBJECT:
            kind = NotOffered if code(error) == "NotImplemented" else StorageError
            raise kind(shown(uri), _reason(error)) from _telling(error)
        number = errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EACCES
        raise type(error)(number, os.strerror(number), shown(uri)) from _telling(error)


@contextlib.contextmanager
def writing(uri: str) -> Iterator[None]:
    """Writing and listing have no track to blame: every failure is the store's."""
    try:
        with reading(uri):
            yield
    except OSError as error:
        raise StorageError(shown(uri), _reason(error)) from _telling(error)


def _is_passing(error: BaseException) -> bool:
    status = int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    return (
        isinstance(error, CONNECTION_ERRORS)
        or code(error) in PASSING
        or status in (408, 429)
        or (status >= 500 and status != 501)  # not implemented
    )


def code(error: BaseException) -> str:
    """What S3 calls the error, or its status where it has no body; empty if S3 did not answer."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def _response(error: BaseException) -> dict[str, Any]:
    """S3's answer behind an error of s3fs or botocore; empty if there was none."""
    response: dict[str, Any] = (
        getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    )
    return response if isinstance(response, dict) else {}


def _reason(error: BaseException) -> str:
    text = without_credentials(str(error)) or type(error).__name__
    return f"{code(error)}: {text}" if code(error) else text


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
