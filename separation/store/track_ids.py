"""Which track ids can be paths below an output. Ids are used as they are, so no escape has to be undone.

Two ids that differ at all, in case, in Unicode's normal form or in an extension, are two paths. An id that
a store or a file system cannot hold is refused, with its reason, before anything is decoded.
"""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from separation.errors import ErrorKind, TrackError
from separation.store.disk.atomic_write import TEMPORARY_NAME_BYTES
from separation.store.redact import with_lower_scheme

S3_KEY_BYTES = 1_024
LOCAL_NAME_BYTES = 255
LOCAL_PATH_BYTES = 4_095


def check_track_id(uri: str, track_id: str) -> None:
    """Raises `TrackError(BAD_KEY)` for an id that is no path below the output, or no printable text."""
    steps = track_id.split("/")
    if bad := [step for step in steps if step in ("", ".", "..")]:
        raise TrackError(
            uri, ErrorKind.BAD_KEY, f"{track_id!r} has the step {bad[0]!r}, which is no folder's name"
        )
    if any(unicodedata.category(character) == "Cc" for character in track_id):
        raise TrackError(uri, ErrorKind.BAD_KEY, f"{track_id!r} holds a control character")
    if not track_id.isascii():
        try:
            track_id.encode()
        except UnicodeEncodeError as error:
            raise TrackError(uri, ErrorKind.BAD_KEY, f"{track_id!r} is not Unicode") from error
    for text in (uri, track_id):
        if "?versionId=" in text:  # s3fs takes it for a version, and the key for what stands before it
            raise TrackError(
                uri, ErrorKind.BAD_KEY, f"{text!r} holds ?versionId=, which is no part of a name"
            )


def check_local(uri: str, path: str) -> None:
    """Raises `TrackError(BAD_KEY)` for an absolute path that a local file system cannot hold.

    It is too long, or a file is where one of its folders should be.
    """
    longest = max(map(_bytes, path.split("/")))
    if longest > LOCAL_NAME_BYTES:
        reason = f"a name of {longest} bytes in {path!r}; a local output takes {LOCAL_NAME_BYTES}"
        raise TrackError(uri, ErrorKind.BAD_KEY, reason)
    if (length := _bytes(path) + TEMPORARY_NAME_BYTES) > LOCAL_PATH_BYTES:
        reason = f"a path of {length} bytes; a local output takes {LOCAL_PATH_BYTES}"
        raise TrackError(uri, ErrorKind.BAD_KEY, reason)
    there = next(parent for parent in Path(path).parents if os.path.lexists(parent))
    if not os.path.isdir(there):
        raise TrackError(uri, ErrorKind.BAD_KEY, f"its stems need the folder {there}, which is a file")


def check_s3(uri: str, key: str) -> None:
    """Raises `TrackError(BAD_KEY)` for a key that is too long for S3, or not UTF-8."""
    if (length := _bytes(key)) > S3_KEY_BYTES:
        reason = f"its output would have a key of {length} bytes; S3 takes {S3_KEY_BYTES}"
        raise TrackError(uri, ErrorKind.BAD_KEY, reason)
    if key.encode(errors="replace").decode() != key:
        raise TrackError(uri, ErrorKind.BAD_KEY, f"{key!r} is not UTF-8, as S3's keys are")


def _bytes(name: str) -> int:
    """The length of a name on a local disk, which need not be UTF-8."""
    return len(name.encode(errors="surrogateescape"))


def check_output_uris(uri: str, outputs: Iterable[str]) -> None:
    """Raises `TrackError(BAD_KEY)` if one of these URIs cannot be written, as far as is known beforehand."""
    for output in outputs:
        protocol, found, path = with_lower_scheme(output).partition("://")
        if not found or protocol in ("file", "local"):
            check_local(uri, path if found else output)
        elif protocol in ("s3", "s3a"):
            check_s3(uri, path.partition("/")[2])
