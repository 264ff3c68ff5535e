"""Which track ids can be paths below an output, as they are: nothing is escaped, so nothing has to be undone.

Two ids that differ at all, in case, in Unicode's normal form or in an extension, are two paths. What a
store or a file system cannot hold under its own name is refused by name, before anything is decoded.
"""

from collections.abc import Iterable

from separation.errors import Kind, TrackError

S3_KEY_BYTES = 1_024
LOCAL_NAME_BYTES = 255
LOCAL_PATH_BYTES = 4_095
PART_OF_A_WRITE = 38  # bytes: the name under which a local file is written before it has its own


def check_track_id(uri: str, track_id: str) -> None:
    """Raises `TrackError(BAD_KEY)` for an id that is empty, leaves the output or hides in it."""
    steps = track_id.split("/")
    if bad := [step for step in steps if step in ("", ".", "..")]:
        raise TrackError(
            uri, Kind.BAD_KEY, f"{track_id!r} has the step {bad[0]!r}, which is no folder's name"
        )
    if any(ord(character) < 32 or character == "\x7f" for character in track_id):
        raise TrackError(uri, Kind.BAD_KEY, f"{track_id!r} holds a control character")
    if not track_id.isascii():
        try:
            track_id.encode()
        except UnicodeEncodeError as error:
            raise TrackError(uri, Kind.BAD_KEY, f"{track_id!r} is not Unicode") from error
    for text in (uri, track_id):
        if "?versionId=" in text:  # s3fs takes it for a version, and the key for what stands before it
            raise TrackError(uri, Kind.BAD_KEY, f"{text!r} holds ?versionId=, which is no part of a name")


def check_local(uri: str, path: str) -> None:
    """Raises `TrackError(BAD_KEY)` for an absolute path that no local file system has room for."""
    longest = max((len(step.encode()) for step in path.split("/")), default=0)
    if longest > LOCAL_NAME_BYTES:
        reason = f"a name of {longest} bytes in {path!r}; a local output takes {LOCAL_NAME_BYTES}"
        raise TrackError(uri, Kind.BAD_KEY, reason)
    if (length := len(path.encode()) + PART_OF_A_WRITE) > LOCAL_PATH_BYTES:
        reason = f"a path of {length} bytes; a local output takes {LOCAL_PATH_BYTES}"
        raise TrackError(uri, Kind.BAD_KEY, reason)


def check_s3(uri: str, key: str) -> None:
    """Raises `TrackError(BAD_KEY)` for a key that S3 refuses."""
    if (length := len(key.encode())) > S3_KEY_BYTES:
        reason = f"its output would have a key of {length} bytes; S3 takes {S3_KEY_BYTES}"
        raise TrackError(uri, Kind.BAD_KEY, reason)


def check_places(uri: str, outputs: Iterable[str]) -> None:
    """Raises `TrackError(BAD_KEY)` if one of these URIs cannot be written for its length."""
    for output in outputs:
        protocol, found, path = output.partition("://")
        if not found or protocol in ("file", "local"):
            check_local(uri, path if found else output)
        elif protocol in ("s3", "s3a"):
            check_s3(uri, path.partition("/")[2])
