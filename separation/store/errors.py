"""What a store's errors mean, which of them belong to one object, and which are tried again.

SeparationError
├── StorageError          the store refuses or is gone; belongs to no single track, so it stops the job
│   ├── DiskFull          of this machine; separation/store/disk/full_disk.py
│   ├── NotOffered        the server has no such operation
│   ├── BadAddress        no store has such an address, whoever asks and whenever
│   └── Interrupted       it was busy, or the connection broke; `retry.call` waits and tries again
│       └── DamagedRead   the bytes that arrived are not the object's; `retry.call` tries again at once
├── Replaced              the object is another version than the one asked for
└── TooLarge              the object has more bytes than the caller takes

The first two stand in separation/errors.py, the others here.

    what the store said                     object_errors              store_errors
    no such object (HTTP: 404, 410)         FileNotFoundError          StorageError
    on a disk, something else than a file   NotAFile                   StorageError
    access to it denied (HTTP: 401, 403)    PermissionError            StorageError
    an address that cannot be (HTTP: or
    that redirects to one, or endlessly)    BadAddress                 BadAddress
    busy, broken connection, no answer      Interrupted                Interrupted
    bytes that fail the store's checksum    DamagedRead                DamagedRead
    no such operation                       NotOffered                 NotOffered
    no bucket, bad credentials, other       StorageError               StorageError

`object_errors` is for reading one object, whose track can be at fault; `store_errors` for writing, removing
and listing.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any, NoReturn

import aiohttp
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError
from fsspec.exceptions import FSTimeoutError

from separation.errors import LocatedError, SeparationError, StorageError
from separation.store.redact import shown, without_credentials

# A 4xx that says nothing about the request: the same one may succeed.
TRANSIENT_CODES = {
    *("BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"),  # damaged on its way
    *("RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "SlowDown", "Throttling"),
    "NoSuchUpload",  # an upload that is complete already: the answer to that was lost
}
# Codes that speak of one object; "" is a local file's error. s3fs raises FileNotFoundError and
# PermissionError for others too, such as NoSuchBucket and ExpiredToken, which speak of the store.
OBJECT_CODES = {"", "AccessDenied", "403", "Forbidden", "InvalidObjectState", "NoSuchKey", "404", "NotFound"}
# What stores say to a path that they cannot hold: too long, not allowed, or below a file.
NAME_ERRORS = {
    *(errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY),
}
NAME_CODES = {
    *("KeyTooLongError", "InvalidURI", "XMinioInvalidObjectName"),
    *("XMinioParentIsObject", "XMinioObjectExistsAsDirectory"),
}
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
ADDRESS_ERRORS = (
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,  # such as a redirection to file:///
    aiohttp.TooManyRedirects,
    botocore.ParamValidationError,  # such as the name of a bucket
    UnicodeError,  # a host name that IDNA does not take
)
# A web server's answers that speak of one object.
OBJECT_STATUS: dict[int, type[OSError]] = {
    401: PermissionError,
    403: PermissionError,
    404: FileNotFoundError,
    410: FileNotFoundError,
}


class NotOffered(StorageError):
    """S3 in name, but not with this operation: some compatible servers implement only the common ones."""


class BadAddress(StorageError):
    """A scheme that is not offered, or a URI that does not name an object in it."""


class Interrupted(StorageError):
    """The store was busy or the connection broke; the next try may succeed."""


class DamagedRead(Interrupted):
    """The bytes that arrived are not the object's."""


class Replaced(SeparationError):
    """The object has another ETag than the one that was asked for."""

    def __init__(self, uri: str, asked: str, found: str):
        super().__init__(uri, asked, found)
        self.uri, self.asked, self.found = uri, asked, found

    def __str__(self) -> str:
        return f"{self.uri}: its etag is {self.found} now; it was {self.asked} when it was probed"


class NotAFile(FileNotFoundError):
    """There is something, and it is no file: `reason` says what. For most callers it is missing."""

    def __init__(self, uri: str, reason: str):
        super().__init__(errno.ENOENT, reason, shown(uri))
        self.reason = reason


class TooLarge(LocatedError):
    """The object has more bytes than the caller takes."""


@contextlib.contextmanager
def object_errors(uri: str) -> Iterator[None]:
    """Turns whatever a store raises while the object `uri` is read into the errors of the table above."""
    try:
        yield
    except (SeparationError, NotAFile):
        raise
    except botocore.FlexibleChecksumError as error:
        raise DamagedRead(shown(uri), _reason(error)) from harmless(error)
    except Exception as raised:  # stores raise what their client libraries raise
        _raise_as_ours(uri, _origin(raised))


def _raise_as_ours(uri: str, error: Exception) -> NoReturn:
    if isinstance(error, ADDRESS_ERRORS):
        raise BadAddress(shown(uri), _reason(error)) from harmless(error)
    if _is_transient(error):
        raise Interrupted(shown(uri), _reason(error)) from harmless(error)
    said = error_code(error)
    kind = OBJECT_STATUS.get(_status(error)) if isinstance(error, aiohttp.ClientResponseError) else None
    if isinstance(error, FileNotFoundError | PermissionError) and said in OBJECT_CODES:
        kind = type(error)
    if isinstance(error, NotADirectoryError):  # below a file there is nothing
        kind = FileNotFoundError
    if kind is None:
        refused = NotOffered if said == "NotImplemented" else StorageError
        raise refused(shown(uri), _reason(error)) from harmless(error)
    number = errno.ENOENT if issubclass(kind, FileNotFoundError) else errno.EACCES
    raise kind(number, os.strerror(number), shown(uri)) from harmless(error)


@contextlib.contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """As `object_errors`, where no single track can be at fault: what is left of OSError is the store's."""
    try:
        with object_errors(uri):
            yield
    except OSError as error:
        raise StorageError(shown(uri), _reason(error)) from harmless(error)


def error_code(error: BaseException) -> str:
    """S3's name for the error, or its HTTP status where the answer has no body; empty without an answer."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def refuses_name(error: StorageError) -> bool:
    """Whether a write failed for its path alone: others may succeed."""
    cause = error.__cause__
    if not isinstance(cause, Exception):
        return False
    if said := error_code(cause):
        return said in NAME_CODES
    return isinstance(cause, UnicodeEncodeError) or getattr(cause, "errno", None) in NAME_ERRORS


def _origin(error: Exception) -> Exception:
    """What fsspec hides in an error of its own: its HTTP does so with every failure."""
    cause = error.__cause__
    is_hidden = isinstance(error, FileNotFoundError | FSTimeoutError)
    is_known = isinstance(cause, (*CONNECTION_ERRORS, *ADDRESS_ERRORS))
    return cause if is_hidden and is_known and isinstance(cause, Exception) else error


def _status(error: BaseException) -> int:
    """The HTTP status of the answer; 0 without one."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status
    return int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def _is_transient(error: BaseException) -> bool:
    status = _status(error)
    return (
        (isinstance(error, CONNECTION_ERRORS) and not isinstance(error, aiohttp.ClientResponseError))
        or error_code(error) in TRANSIENT_CODES
        or status in (408, 429)
        or (status >= 500 and status != 501)  # not implemented
    )


def _response(error: BaseException) -> dict[str, Any]:
    """S3's answer behind an error of s3fs or botocore; empty if there was none."""
    response: dict[str, Any] = (
        getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    )
    return response if isinstance(response, dict) else {}


def _reason(error: BaseException) -> str:
    """What went wrong, without the address that the sentence begins with."""
    if isinstance(error, aiohttp.TooManyRedirects):
        return "its redirections do not end"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"the server answers {error.status} {error.message}".rstrip()
    if isinstance(error, aiohttp.RedirectClientError):
        return f"redirects to {without_credentials(str(error.args[0]))}, which is no web address"
    if isinstance(error, aiohttp.InvalidURL):
        return f"no web address: {without_credentials(error.description or 'it has no host')}"
    text = without_credentials(str(error)) or type(error).__name__
    return f"{error_code(error)}: {text}" if error_code(error) else text


def harmless(error: BaseException) -> BaseException | None:
    """The error, to be another's cause; None if its text or that of one of its causes holds credentials.

    Ray logs an exception with all its causes.
    """
    each: BaseException | None = error
    while each is not None:
        if without_credentials(str(each)) != str(each):
            return None
        each = each.__cause__ or each.__context__
    return error
