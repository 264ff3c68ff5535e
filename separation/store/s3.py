"""S3's own verbs, where s3fs's are not enough: every body is compared with what the store says of it."""

import asyncio
import hashlib
import io
import mimetypes
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from fsspec.asyn import sync

from separation.store.filesystems import DamagedRead, reading, writing
from separation.store.redact import shown
from separation.store.retry import patiently

PART = 50 << 20  # bytes of an upload's part; less than two of them are put in one request
MOST_PARTS = 10_000  # of an upload
PARTS_IN_FLIGHT = 2  # held in memory while a large file is put
PIECE = 1 << 18
SLOWEST = 1 << 19  # bytes a second: an upload below has stalled, for which aiohttp has no timeout
ANSWER_S = 120  # for botocore's three tries of a small request
Found = tuple[str, int, datetime | None]  # name, bytes, when it was written
Bytes = io.BytesIO | io.BufferedRandom | io.BufferedReader
ETAG = re.compile(r"[0-9a-f]{32}(-\d+)?")


def get(fs: Any, uri: str, path: str, sink: Bytes, etag: str | None = None) -> str:
    """Writes the object into `sink`, whole and verified, and returns its ETag.

    With `etag`, an object that has another one is not read. A body that breaks off is asked for from its
    beginning: botocore checks the store's checksum over whole bodies only, and the bytes of one answer are
    those of one version of the object.
    """
    bucket, key, _ = fs.split_path(path)

    def attempt() -> str:
        with reading(uri):
            found, size, is_md5 = sync(fs.loop, _get, fs, bucket, key, sink, etag)
        if etag in (None, found) and (wrong := _difference(fs, uri, bucket, key, sink, found, size, is_md5)):
            raise DamagedRead(shown(uri), wrong)
        return str(found)

    return patiently(attempt)


async def _get(fs: Any, bucket: str, key: str, sink: Bytes, wanted: str | None) -> tuple[str, int, bool]:
    reply = await fs._call_s3("get_object", Bucket=bucket, Key=key)
    body, etag = reply["Body"], reply["ETag"].strip('"')
    sink.seek(0)
    sink.truncate()
    try:
        if wanted is None or etag == wanted:
            while piece := await body.read(PIECE):
                sink.write(piece)
    finally:
        body.close()
    return etag, reply["ContentLength"], _etag_is_md5(bucket, reply)


def _etag_is_md5(bucket: str, reply: dict[str, Any]) -> bool:
    """S3's ETag has nothing to do with the bytes if a key of KMS or the client encrypts, or in Express."""
    return (
        reply.get("ServerSideEncryption") in (None, "AES256")
        and "SSECustomerAlgorithm" not in reply
        and not bucket.endswith("--x-s3")
    )


def _difference(
    fs: Any, uri: str, bucket: str, key: str, data: Bytes, etag: str, size: int, is_md5: bool
) -> str:
    """What tells the bytes from the object, in words; empty if nothing does."""
    arrived = data.seek(0, io.SEEK_END)
    if arrived != size:
        return f"{arrived} bytes arrived of {size}"
    if not is_md5 or not (form := ETAG.fullmatch(etag)):
        return ""
    if not form[1]:
        found = etag_of(data)
    else:
        parts = int(form[1][1:])
        ask = partial(_part_size, fs, uri, bucket, key)
        found = etag_of(data, _equal(size, first := ask(1)))
        if found != etag:  # damaged, or of unequal parts
            asked = parts if first < size or parts == 1 else 0  # a store that takes no part's number
            sizes = [first, *map(ask, range(2, asked + 1))]
            found = etag_of(data, sizes) if asked and sum(sizes) == size else etag
    return "" if found == etag else f"bytes with ETag {found} arrived; the object's is {etag}"


def _part_size(fs: Any, uri: str, bucket: str, key: str, number: int) -> int:
    """The bytes of one of the parts in which the object was uploaded."""

    def attempt() -> int:
        with reading(uri):
            head = fs.call_s3("head_object", Bucket=bucket, Key=key, PartNumber=number)
        return int(head["ContentLength"])

    return patiently(attempt)


def _equal(size: int, part: int) -> list[int]:
    return [min(part, size - start) for start in range(0, size, max(1, part))]


def etag_of(data: Bytes, parts: Sequence[int] = ()) -> str:
    """The ETag of bytes: their MD5, or that of the MD5s of parts with these sizes, and how many they are."""
    data.seek(0)
    if not parts:
        return hashlib.file_digest(data, _md5).hexdigest()
    digests = b"".join(_md5(data.read(size)).digest() for size in parts)
    return f"{_md5(digests).hexdigest()}-{len(parts)}"


def _md5(data: bytes = b"") -> Any:
    return hashlib.md5(data, usedforsecurity=False)


def put(fs: Any, uri: str, path: str, data: Bytes) -> None:
    """The object appears whole or not at all, and the store says by its ETag that it took these bytes."""
    bucket, key, _ = fs.split_path(path)
    size = data.seek(0, io.SEEK_END)
    parts = _equal(size, max(PART, -(-size // MOST_PARTS))) if size >= 2 * PART else []
    wanted = {etag_of(data), etag_of(data, parts)}  # some stores give the MD5 of the whole for parts too

    def attempt() -> None:
        with writing(uri):
            upload = _put_parts(fs, bucket, key, data, parts) if parts else _put_whole(fs, bucket, key, data)
            reply = sync(fs.loop, lambda: upload, timeout=ANSWER_S + size / SLOWEST)
        found = reply["ETag"].strip('"')
        if found not in wanted and _etag_is_md5(bucket, reply) and ETAG.fullmatch(found):
            raise DamagedRead(
                shown(uri), f"bytes with ETag {' or '.join(sorted(wanted))} were put; the store took {found}"
            )

    patiently(attempt)


async def _put_whole(fs: Any, bucket: str, key: str, data: Bytes) -> dict[str, Any]:
    data.seek(0)
    reply: dict[str, Any] = await fs._call_s3(
        "put_object", Bucket=bucket, Key=key, Body=data.read(), **_content_type(key)
    )
    return reply


async def _put_parts(fs: Any, bucket: str, key: str, data: Bytes, parts: Sequence[int]) -> dict[str, Any]:
    target = {"Bucket": bucket, "Key": key}
    upload = await fs._call_s3("create_multipart_upload", **target, **_content_type(key))
    target["UploadId"] = upload["UploadId"]
    try:
        data.seek(0)
        done: list[dict[str, Any]] = []
        for first in range(0, len(parts), PARTS_IN_FLIGHT):
            calls = [
                fs._call_s3("upload_part", **target, PartNumber=number, Body=data.read(size))
                for number, size in enumerate(parts[first : first + PARTS_IN_FLIGHT], first + 1)
            ]
            done += await asyncio.gather(*calls)
        listed = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate(done, 1)]
        reply: dict[str, Any] = await fs._call_s3(
            "complete_multipart_upload", **target, MultipartUpload={"Parts": listed}
        )
    except BaseException:
        with suppress(Exception):  # what stays is found by `jobs.verify`; the first error is the one to tell
            await fs._call_s3("abort_multipart_upload", **target)
        raise
    return reply


def _content_type(key: str) -> dict[str, str]:
    guessed = mimetypes.guess_type(key)[0]
    return {"ContentType": guessed} if guessed else {}


def _ask(fs: Any, uri: str, verb: str, **query: str) -> dict[str, Any]:
    def attempt() -> dict[str, Any]:
        with writing(uri):
            reply: dict[str, Any] = fs.call_s3(verb, **query)
            return reply

    return patiently(attempt)


def uploads(fs: Any, uri: str, path: str) -> Iterator[tuple[str, str, datetime]]:
    """Path, id and beginning of the uploads below a folder that have not ended."""
    bucket, _, key = f"{path.rstrip('/')}/".partition("/")
    query = {"Bucket": bucket, "Prefix": key}
    while True:
        page = _ask(fs, uri, "list_multipart_uploads", **query)
        for each in page.get("Uploads", ()):
            yield f"{bucket}/{each['Key']}", each["UploadId"], each["Initiated"]
        if not page.get("IsTruncated"):
            return
        query |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def end_upload(fs: Any, uri: str, path: str, upload_id: str) -> None:
    """Gives up an upload; one that has ended meanwhile is none."""
    bucket, _, key = path.partition("/")

    def attempt() -> None:
        with writing(uri), suppress(FileNotFoundError):
            fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload_id)

    patiently(attempt)


def walk(fs: Any, uri: str, file: str, prefix: str) -> Iterator[Found]:
    """The object `file`, if there is one, and those whose names begin with `prefix`, page by page."""
    bucket, _, key = prefix.partition("/")
    if "/" in file:
        yield from _itself(fs, uri, file)
    query = {"Bucket": bucket, "Prefix": key}
    while True:
        page = _ask(fs, uri, "list_objects_v2", **query)
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/"):  # the marker of a folder made in a console
                yield f"{bucket}/{item['Key']}", item["Size"], item["LastModified"]
        if not page.get("IsTruncated"):
            return
        query["ContinuationToken"] = page["NextContinuationToken"]


def _itself(fs: Any, uri: str, file: str) -> Iterator[Found]:
    def attempt() -> dict[str, Any]:
        with writing(uri), suppress(FileNotFoundError):
            found: dict[str, Any] = fs.info(file)
            return found
        return {"type": "none"}

    info = patiently(attempt)
    if info["type"] == "file":
        yield file, info["size"], info.get("LastModified")
