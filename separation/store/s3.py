"""The operations of `Location` on S3, where s3fs's are not enough: every body is compared with its ETag."""

import asyncio
import io
import mimetypes
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fsspec.asyn import sync

from separation.store.errors import DamagedRead
from separation.store.etags import ETAG, S3Answer, SeekableBytes, answer_of, difference, equal_parts, etag_of
from separation.store.location import Found, Location
from separation.store.metadata import Upload
from separation.store.redact import shown

PART = 50 << 20  # bytes of an upload's part; less than two of them are put in one request
MOST_PARTS = 10_000  # of an upload
PARTS_IN_FLIGHT = 2  # held in memory while a large file is put
PIECE = 1 << 18  # bytes of a body that are read at once
SLOWEST = 1 << 19  # bytes a second: an upload below has stalled, for which aiohttp has no timeout
ANSWER_S = 120  # for all of botocore's tries of a small request


class S3Location(Location):
    @property
    def _target(self) -> dict[str, str]:
        bucket, key, _ = self.fs.split_path(self.path)
        return {"Bucket": bucket, "Key": key}

    # Reading

    def read_bytes(self) -> bytes:
        data = io.BytesIO()
        self._get(data, None)
        return data.getvalue()

    def download(self, target: Path, etag: str | None = None, most: int | None = None) -> str:
        with target.open("w+b") as file:
            return self._get(file, etag, most)

    def _get(self, sink: SeekableBytes, etag: str | None, most: int | None = None) -> str:
        return self.on_object(self._get_once, sink, etag, most)

    def _get_once(self, sink: SeekableBytes, etag: str | None, most: int | None) -> str:
        """Writes the object into `sink`, whole and verified, and returns its ETag.

        With `etag`, an object that has another one is not read. A body that breaks off is asked for from
        its beginning: botocore checks the store's checksum over whole bodies only, and the bytes of one
        answer are those of one version of the object.
        """
        answer = sync(self.fs.loop, self._receive, sink, etag, most)
        if etag in (None, answer.etag) and (wrong := difference(sink, answer, self._part_size)):
            raise DamagedRead(shown(self.uri), wrong)
        return str(answer.etag)

    async def _receive(self, sink: SeekableBytes, wanted: str | None, most: int | None) -> S3Answer:
        target = self._target
        reply = await self.fs._call_s3("get_object", **target)
        body, answer = reply["Body"], answer_of(target["Bucket"], reply, reply["ContentLength"])
        sink.seek(0)
        sink.truncate()
        try:
            if wanted is None or answer.etag == wanted:
                self.check_size(answer.bytes, most)
                while piece := await body.read(PIECE):
                    sink.write(piece)
        finally:
            body.close()
        return answer

    def _part_size(self, number: int) -> int:
        head = self.on_object(self.fs.call_s3, "head_object", **self._target, PartNumber=number)
        return int(head["ContentLength"])

    # Writing

    def put(self, data: SeekableBytes) -> None:
        """The object appears whole or not at all, and the store's ETag says that it took these bytes."""
        size = data.seek(0, io.SEEK_END)
        parts = equal_parts(size, max(PART, -(-size // MOST_PARTS))) if size >= 2 * PART else []
        etags = {etag_of(data), etag_of(data, parts)}  # some stores give the MD5 of the whole for parts too
        self.on_store(self._put_once, data, size, parts, etags)

    def _put_once(self, data: SeekableBytes, size: int, parts: Sequence[int], etags: set[str]) -> None:
        put = self._put_parts if parts else self._put_whole
        reply = sync(self.fs.loop, put, data, parts, timeout=ANSWER_S + size / SLOWEST)
        took = answer_of(self._target["Bucket"], reply, size)
        if took.etag not in etags and took.is_md5 and ETAG.fullmatch(took.etag):
            ours = " or ".join(sorted(etags))
            raise DamagedRead(shown(self.uri), f"bytes with ETag {ours} were put; the store took {took.etag}")

    async def _put_whole(self, data: SeekableBytes, _parts: Sequence[int]) -> dict[str, Any]:
        data.seek(0)
        target = self._target
        reply: dict[str, Any] = await self.fs._call_s3(
            "put_object", **target, Body=data.read(), **_content_type(target["Key"])
        )
        return reply

    async def _put_parts(self, data: SeekableBytes, parts: Sequence[int]) -> dict[str, Any]:
        target = self._target
        upload = await self.fs._call_s3("create_multipart_upload", **target, **_content_type(target["Key"]))
        target["UploadId"] = upload["UploadId"]
        try:
            data.seek(0)
            done: list[dict[str, Any]] = []
            for first in range(0, len(parts), PARTS_IN_FLIGHT):
                calls = [
                    self.fs._call_s3("upload_part", **target, PartNumber=number, Body=data.read(size))
                    for number, size in enumerate(parts[first : first + PARTS_IN_FLIGHT], first + 1)
                ]
                done += await asyncio.gather(*calls)
            listed = [{"PartNumber": number, "ETag": part["ETag"]} for number, part in enumerate(done, 1)]
            reply: dict[str, Any] = await self.fs._call_s3(
                "complete_multipart_upload", **target, MultipartUpload={"Parts": listed}
            )
        except BaseException:
            with suppress(Exception):  # what stays is found by `jobs.verify`; raise the first error
                await self.fs._call_s3("abort_multipart_upload", **target)
            raise
        return reply

    # Listing

    def _walk(self, file: str, prefix: str, *, follow_links: bool = False) -> Iterator[Found]:
        """As `Location._walk`, page by page: ten million keys need no memory."""
        bucket, _, key = prefix.partition("/")
        if "/" in file:
            # Not HEAD, which needs a right of its own. Of all keys that begin so, the file's is the first.
            first = {"Bucket": bucket, "Prefix": file.removeprefix(f"{bucket}/"), "MaxKeys": 1}
            for item in self.on_store(self.fs.call_s3, "list_objects_v2", **first).get("Contents", ()):
                if f"{bucket}/{item['Key']}" == file:
                    yield file, item["Size"], item["LastModified"]
        query = {"Bucket": bucket, "Prefix": key}
        while True:
            page = self.on_store(self.fs.call_s3, "list_objects_v2", **query)
            for item in page.get("Contents", ()):
                if not item["Key"].endswith("/"):  # the marker of a folder made in a console
                    yield f"{bucket}/{item['Key']}", item["Size"], item["LastModified"]
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def list_uploads(self) -> Iterator[Upload]:
        bucket, _, key = f"{self.path.rstrip('/')}/".partition("/")
        query = {"Bucket": bucket, "Prefix": key}
        while True:
            page = self.on_store(self.fs.call_s3, "list_multipart_uploads", **query)
            for each in page.get("Uploads", ()):
                yield Upload(f"s3://{bucket}/{each['Key']}", each["UploadId"], each["Initiated"])
            if not page.get("IsTruncated"):
                return
            query |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def end_upload(self, upload_id: str) -> None:
        self.on_store(self._end_upload, upload_id)

    def _end_upload(self, upload_id: str) -> None:
        bucket, _, key = self.path.partition("/")
        with suppress(FileNotFoundError):
            self.fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload_id)


def _content_type(key: str) -> dict[str, str]:
    guessed = mimetypes.guess_type(key)[0]
    return {"ContentType": guessed} if guessed else {}
