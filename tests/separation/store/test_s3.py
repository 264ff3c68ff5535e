"""What S3 answers seldom: each test has its own connection to the server, by a proxy that misbehaves."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from aiohttp import web

from separation.errors import StorageError
from separation.store import s3
from separation.store.errors import NotOffered
from separation.store.filesystems import S3_SETTINGS
from separation.store.retry import RetryPolicy
from separation.store.s3 import S3Location
from tests.faulty_store import Exchange, Fault, Proxy, Rate, honest, lost_reply, refused
from tests.stores import STORE

POLICY = RetryPolicy(patience_s=0, first_pause_s=0, damaged_tries=2)
At = Callable[[str], S3Location]


@pytest.fixture
def at(proxy: Proxy) -> At:
    """The location of a URI, reached by the proxy."""
    fs = fsspec.filesystem("s3", **S3_SETTINGS, endpoint_url=proxy.endpoint, skip_instance_cache=True)
    fs.retries = 1
    return lambda uri: S3Location(uri, fs, uri.removeprefix("s3://"), POLICY)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that is put in three parts of the smallest size that S3 takes."""
    monkeypatch.setattr(s3, "PART", 5 << 20)
    source = tmp_path / "source"
    source.write_bytes(os.urandom(11 << 20))
    return source


def with_etag_of(data: bytes) -> Fault:
    async def another_etag(exchange: Exchange) -> web.StreamResponse:
        answer = await exchange.ask()
        kept = {name: value for name, value in answer.headers.items() if name.lower() != "etag"}
        answer.headers = kept | {"ETag": f'"{hashlib.md5(data).hexdigest()}"'}
        return await exchange.send(answer)

    return another_etag


async def complete_before(exchange: Exchange) -> web.StreamResponse:
    """As to a second try of what the first one did, whose answer was lost."""
    await exchange.ask()
    return await refused(404, "NoSuchUpload")(exchange)


async def silent(exchange: Exchange) -> web.StreamResponse:
    """No answer until the client gives up, which cancels this."""
    await asyncio.Event().wait()
    raise AssertionError


def requests(proxy: Proxy, method: str) -> int:
    return sum(seen.startswith(method) for seen in proxy.seen)


def put(at: At, uri: str, source: Path) -> None:
    with source.open("rb") as file:
        at(uri).put(file)


def test_bytes_that_the_store_took_otherwise_are_put_again_and_given_up_in_the_end(
    at: At, proxy: Proxy, bucket: str, tmp_path: Path
) -> None:
    (tmp_path / "stem").write_bytes(b"stem")
    proxy.faults = {"PUT": [with_etag_of(b"stump")]}
    put(at, f"{bucket}/stem", tmp_path / "stem")
    assert requests(proxy, "PUT") == 2
    proxy.always = {"PUT": with_etag_of(b"stump")}
    with pytest.raises(StorageError, match=r"were put; the store took [0-9a-f]{32} \(2 times\)"):
        put(at, f"{bucket}/stem", tmp_path / "stem")


def test_a_put_that_gets_no_answer_is_tried_again_and_given_up_in_the_end(
    at: At, proxy: Proxy, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deadline is our own: aiohttp waits for `100 Continue` without one."""
    monkeypatch.setattr(s3, "ANSWER_S", 1)
    (tmp_path / "stem").write_bytes(b"stem")
    proxy.faults = {"PUT": [silent]}
    put(at, f"{bucket}/stem", tmp_path / "stem")
    assert STORE.read_bytes(f"{bucket}/stem") == b"stem"
    proxy.always = {"PUT": silent}
    with pytest.raises(StorageError, match=r"stem: TimeoutError \(3 tries"):
        put(at, f"{bucket}/stem", tmp_path / "stem")


def test_an_upload_that_fails_leaves_no_parts(
    at: At, proxy: Proxy, bucket: str, s3: str, small_parts: Path
) -> None:
    proxy.faults = {"PUT": [honest, refused(403, "AccessDenied")]}
    with pytest.raises(StorageError, match="Permission denied"):
        put(at, f"{bucket}/large", small_parts)
    assert requests(proxy, "DELETE") == 1
    if s3 != "localbucket":  # which does not list uploads
        assert list(at(bucket).list_uploads()) == []


@pytest.mark.parametrize("fault", [lost_reply, complete_before])
def test_an_upload_whose_last_answer_was_lost_is_put_again(
    fault: Fault, at: At, proxy: Proxy, bucket: str, small_parts: Path
) -> None:
    proxy.faults = {"POST": [honest, fault]}
    put(at, f"{bucket}/large", small_parts)
    assert STORE.read_bytes(f"{bucket}/large") == small_parts.read_bytes()


def test_unfinished_uploads_are_listed_and_ended(at: At, bucket: str, s3: str) -> None:
    folder = at(f"{bucket}/out")
    if s3 == "localbucket":  # which does not list uploads, and must be said to
        with pytest.raises(NotOffered):
            list(folder.list_uploads())
        return
    for key in ("out/a", "out/b", "beside"):
        folder.fs.call_s3("create_multipart_upload", Bucket=bucket[5:], Key=key)
    uploads = list(folder.list_uploads())
    assert [upload.uri for upload in uploads] == [f"{bucket}/out/a", f"{bucket}/out/b"]
    for upload in (*uploads, uploads[0]):  # one that has ended is no error
        at(upload.uri).end_upload(upload.upload_id)
    assert list(folder.list_uploads()) == []


def test_an_operation_that_a_server_does_not_have_is_told_from_one_that_fails(
    at: At, proxy: Proxy, bucket: str
) -> None:
    proxy.storm = (Rate(refused(501, "NotImplemented"), 1.0),)
    with pytest.raises(NotOffered):
        list(at(bucket).list_uploads())
    proxy.storm = (Rate(refused(403, "AccessDenied"), 1.0),)
    with pytest.raises(StorageError) as caught:
        list(at(bucket).list_uploads())
    assert not isinstance(caught.value, NotOffered)


def test_an_object_that_cannot_be_removed_is_a_storage_error(at: At, proxy: Proxy, bucket: str) -> None:
    STORE.put_bytes(b"x", f"{bucket}/stem")
    proxy.always = {"DELETE": refused(403, "AccessDenied")}
    with pytest.raises(StorageError, match="Permission denied"):
        at(f"{bucket}/stem").remove()


def test_of_two_writers_the_first_creates_an_object(at: At, proxy: Proxy, bucket: str) -> None:
    proxy.faults = {"PUT": [lost_reply]}  # and its next try is told that the object exists
    at(f"{bucket}/lock").create(b"first")
    at(f"{bucket}/lock").create(b"second")
    assert at(f"{bucket}/lock").read_bytes() == b"first"


def test_an_object_of_another_version_is_not_read(at: At, bucket: str, tmp_path: Path) -> None:
    STORE.put_bytes(b"new", f"{bucket}/song")
    etag = STORE.stat(f"{bucket}/song").etag
    assert at(f"{bucket}/song").download(tmp_path / "copy", "another") == etag
    assert (tmp_path / "copy").read_bytes() == b""


def test_a_stem_has_the_content_type_of_its_name(at: At, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "stem").write_bytes(b"stem")
    put(at, f"{bucket}/stem.flac", tmp_path / "stem")
    head = at(bucket).fs.call_s3("head_object", Bucket=bucket[5:], Key="stem.flac")
    assert head["ContentType"] in ("audio/flac", "audio/x-flac")
