"""What a store says about objects, and about uploads that have not ended."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Stat:
    """An object's size, and a mark that changes when the object does (S3's ETag, without quotes).

    Of a web server that does not say them, `bytes` is None and `etag` empty.
    """

    bytes: int | None
    etag: str


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of a listing; `modified` is None where a store does not say when."""

    uri: str
    bytes: int
    modified: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes on their way to `uri` that have not arrived there: S3's upload of that id, or a local file.

    A local file has no id, and `uri` is its own temporary name.
    """

    uri: str
    upload_id: str
    started: datetime | None
