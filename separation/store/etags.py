"""S3's ETags: what they say of an object's bytes, and whether bytes that arrived are the object's."""

import hashlib
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

SeekableBytes = io.BytesIO | io.BufferedRandom | io.BufferedReader
ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")  # an MD5, and the number of parts of an upload in parts


@dataclass(frozen=True, slots=True)
class S3Answer:
    """What the store says of an object that it takes or gives."""

    etag: str  # without its quotes
    bytes: int
    is_md5: bool  # whether the ETag is computed from the bytes


def answer_of(bucket: str, reply: dict[str, Any], size: int) -> S3Answer:
    """The ETag has nothing to do with the bytes if a key of KMS or the client encrypts, or in S3 Express."""
    is_md5 = (
        reply.get("ServerSideEncryption") in (None, "AES256")
        and "SSECustomerAlgorithm" not in reply
        and not bucket.endswith("--x-s3")
    )
    return S3Answer(reply["ETag"].strip('"'), size, is_md5)


def difference(data: SeekableBytes, answer: S3Answer, part_size: Callable[[int], int]) -> str:
    """What tells the bytes that arrived from the object, in words; empty if nothing does.

    `part_size` asks the store for the bytes of the part of that number, from 1, in which the object was
    uploaded.
    """
    arrived = data.seek(0, io.SEEK_END)
    if arrived != answer.bytes:
        return f"{arrived} bytes arrived of {answer.bytes}"
    if not answer.is_md5 or not (form := ETAG.fullmatch(answer.etag)):
        return ""
    if not form[1]:
        found = etag_of(data)
    else:
        parts = int(form[1][1:])
        found = etag_of(data, equal_parts(answer.bytes, first := part_size(1)))
        if found != answer.etag:  # damaged, or of unequal parts
            asked = parts if first < answer.bytes or parts == 1 else 0  # a store that takes no part's number
            sizes = [first, *map(part_size, range(2, asked + 1))]
            found = etag_of(data, sizes) if asked and sum(sizes) == answer.bytes else answer.etag
    return "" if found == answer.etag else f"bytes with ETag {found} arrived; the object's is {answer.etag}"


def equal_parts(size: int, part: int) -> list[int]:
    """The sizes of parts of `part` bytes, and of the shorter last one."""
    return [min(part, size - start) for start in range(0, size, max(1, part))]


def etag_of(data: SeekableBytes, parts: Sequence[int] = ()) -> str:
    """The ETag of bytes: their MD5; with the sizes of N parts, the MD5 of the parts' MD5s and `-N`."""
    data.seek(0)
    if not parts:
        return hashlib.file_digest(data, _md5).hexdigest()
    digests = b"".join(_md5(data.read(size)).digest() for size in parts)
    return f"{_md5(digests).hexdigest()}-{len(parts)}"


def _md5(data: bytes = b"") -> Any:
    return hashlib.md5(data, usedforsecurity=False)
