"""Sources on web servers: which answers are the track's fault, and which bytes are the object's."""

import gzip
import hashlib
import re
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import aiohttp
import pytest
from fsspec.implementations.http import HTTPFileSystem

from separation.audio.limits import Limits
from separation.errors import ErrorKind, SourceUnreachable, StorageError, TrackError
from separation.store import http
from separation.store.filesystems import open_store
from separation.store.http import HttpLocation
from separation.store.objects import Store
from separation.store.retry import RetryPolicy
from separation.store.source_cache import SourceCache
from tests.web import Respond, says, web_server

QUICK = Store(RetryPolicy(first_pause_s=0.01))
MOST = 100_000  # bytes of a source


@pytest.fixture
def answers() -> dict[str, Respond]:
    return {}


@pytest.fixture
def web(answers: dict[str, Respond]) -> Iterator[str]:
    with web_server(answers) as address:
        yield address


@pytest.fixture
def cache(tmp_path: Path) -> SourceCache:
    return SourceCache(tmp_path / "cache", 10**6, QUICK, Limits(source_bytes=MOST, source_patience_s=0))


def read(cache: SourceCache, uri: str) -> bytes:
    with cache.open(uri, cache.stat(uri).etag) as file:
        return file.read()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, ErrorKind.MISSING),
        (410, ErrorKind.MISSING),
        (401, ErrorKind.DENIED),
        (403, ErrorKind.DENIED),
        *((status, None) for status in (400, 402, 405, 408, 429, 451, 500, 501, 502, 503, 504)),
    ],
)
def test_only_what_a_server_says_of_the_object_is_the_tracks_fault(
    status: int, kind: ErrorKind | None, cache: SourceCache, web: str, answers: dict[str, Respond]
) -> None:
    answers["/song"] = says(status)
    with pytest.raises((TrackError, SourceUnreachable)) as caught:
        cache.stat(f"{web}/song")
    if kind is None:
        assert isinstance(caught.value, SourceUnreachable)
        assert str(status) in caught.value.reason
    else:
        assert isinstance(caught.value, TrackError)
        assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/song", "its redirections do not end"),
        ("file:///etc/passwd", "redirects to file:///etc/passwd, which is no web address"),
        ("ftp://host/song", "redirects to ftp://host/song, which is no web address"),
        ("http://", "redirects to http://, which is no web address"),
        ("http://me:secret@host:99999/song?token=x", "redirects to http://host:99999/song, which is no web"),
    ],
)
def test_a_redirection_to_no_web_address_is_the_addresss_fault(
    location: str, reason: str, cache: SourceCache, web: str, answers: dict[str, Respond]
) -> None:
    """No later try of the same address can succeed."""
    answers["/song"] = says(302, Location=location)
    with pytest.raises(TrackError, match=f"song: bad_uri: {reason}"):
        cache.stat(f"{web}/song")


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        (says(416), "the server answers 416 Requested Range Not Satisfiable$"),
        (says(206, b"abc", Content_Range="bytes 5-7/100"), "the server answers 206 Partial Content$"),
        (says(302), "the server answers 302 Found$"),
        (says(200, b"abc", length=100), r"received 3 of 100 bytes.*\(3 tries in 0 s\)$"),
    ],
)
def test_what_a_server_may_mend_says_what_it_is(
    respond: Respond, reason: str, cache: SourceCache, web: str, answers: dict[str, Respond]
) -> None:
    answers["/song"] = respond
    with pytest.raises(SourceUnreachable, match=reason):
        read(cache, f"{web}/song")


def test_a_host_that_cannot_be_reached_says_nothing_about_the_track(cache: SourceCache) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and never listens
        for host in (f"127.0.0.1:{closed.getsockname()[1]}", "nowhere.invalid"):
            with pytest.raises(SourceUnreachable, match=f"http://{host}/song: "):
                cache.stat(f"http://{host}/song")


def test_a_server_that_recovers_is_read(cache: SourceCache, web: str, answers: dict[str, Respond]) -> None:
    left = [says(503), says(429)]
    answers["/song"] = lambda handler: (left.pop() if left else says(200, b"audio"))(handler)
    assert read(cache, f"{web}/song") == b"audio"


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    settings = open_store("https://host/song")[0].client_kwargs["timeout"]
    assert (settings.sock_connect, settings.sock_read, settings.total) == (10, 20, None)
    timeout = aiohttp.ClientTimeout(sock_read=0.1)
    fs = HTTPFileSystem(client_kwargs={"timeout": timeout}, skip_instance_cache=True)
    policy = RetryPolicy(patience_s=0, fewest_tries=2, first_pause_s=0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}/song"
        with pytest.raises(StorageError, match=r"Timeout on reading data.*\(2 tries in 0 s\)"):
            HttpLocation(uri, fs, uri, policy).download(tmp_path / "song")


def test_a_body_that_trickles_is_given_up(
    cache: SourceCache, web: str, answers: dict[str, Respond], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trickle(handler: BaseHTTPRequestHandler) -> None:
        says(200, length=1_000)(handler)
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(0.01)

    monkeypatch.setattr(http, "ANSWER_S", 0.1)
    answers["/song"] = trickle
    with pytest.raises(SourceUnreachable, match="bytes in 0 s"):
        cache.stat(f"{web}/song")


@pytest.mark.parametrize("length", [None, -1])
@pytest.mark.parametrize(
    "headers", [{}, {"Last_Modified": "Sat, 28 Nov 2026 00:00:00 GMT"}, {"ETag": 'W/"1"'}]
)
def test_a_source_without_an_etag_is_known_by_its_bytes(
    length: int | None,
    headers: dict[str, str],
    cache: SourceCache,
    web: str,
    answers: dict[str, Respond],
    tmp_path: Path,
) -> None:
    answers["/song"] = says(200, b"old", length, **headers)
    old = cache.stat(f"{web}/song")
    assert (old.bytes, old.etag) == (3, f"sha256-{hashlib.sha256(b'old').hexdigest()}")
    answers["/song"] = says(200, b"replaced", length, **headers)
    assert read(cache, f"{web}/song") == b"replaced"
    with cache.open(f"{web}/song", old.etag) as file:  # of tracks that were probed before
        assert file.read() == b"old"
    elsewhere = SourceCache(tmp_path / "elsewhere", 10**6, QUICK)
    with pytest.raises(TrackError, match="changed"), elsewhere.open(f"{web}/song", old.etag):
        pass


def test_an_etag_saves_the_second_fetch_and_tells_versions_apart(
    cache: SourceCache, web: str, answers: dict[str, Respond]
) -> None:
    answers["/song"] = says(200, b"old", ETag='"1"')
    old = cache.stat(f"{web}/song")
    assert (old.bytes, old.etag) == (3, "1")
    answers["/song"] = says(200, b"new", ETag='"2"')
    with pytest.raises(TrackError, match="changed"), cache.open(f"{web}/song", old.etag):
        pass
    assert read(cache, f"{web}/song") == b"new"


@pytest.mark.parametrize("etag", [{}, {"ETag": '"1"'}])
def test_a_body_is_read_up_to_the_limit_whatever_was_said_of_its_size(
    etag: dict[str, str], cache: SourceCache, web: str, answers: dict[str, Respond]
) -> None:
    answers["/song"] = says(200, bytes(MOST), None, **etag)
    assert read(cache, f"{web}/song") == bytes(MOST)
    sent = [says(200, bytes(1_000), ETag='"1"')] if etag else []
    answers["/song"] = lambda handler: (sent.pop() if sent else says(200, bytes(300 * MOST), None, **etag))(
        handler
    )
    with pytest.raises(TrackError) as caught:
        read(cache, f"{web}/song")
    assert (caught.value.kind, caught.value.uri) == (ErrorKind.TOO_LARGE, f"{web}/song")


def test_a_length_beyond_the_limit_is_not_fetched(
    cache: SourceCache, web: str, answers: dict[str, Respond]
) -> None:
    answers["/song"] = says(200, b"", MOST + 1)
    with pytest.raises(TrackError, match="too_large"):
        cache.stat(f"{web}/song")


def test_a_body_that_a_server_compresses_all_the_same_arrives_whole(
    cache: SourceCache, web: str, answers: dict[str, Respond]
) -> None:
    answers["/song"] = says(200, gzip.compress(b"audio" * 100), Content_Encoding="gzip")
    assert read(cache, f"{web}/song") == b"audio" * 100


def test_a_body_that_breaks_off_is_asked_for_again(
    cache: SourceCache, web: str, answers: dict[str, Respond]
) -> None:
    left = [says(200, b"au", 5)] * 2
    answers["/song"] = lambda handler: (left.pop() if left else says(200, b"audio"))(handler)
    assert read(cache, f"{web}/song") == b"audio"


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://", "no web address: it has no host"),
        ("http:///song", "no web address: it has no host"),
        ("http://host:99999/song", "no web address: Port out of range"),
        ("http://host:port/song", "no web address: .*port can't be converted"),
        (f"http://{'x' * 70}.org/a", ".*[Ll]abel"),
        ("data://song", "data:// is not offered"),
    ],
)
def test_an_address_that_cannot_be_is_the_tracks_fault(uri: str, reason: str, cache: SourceCache) -> None:
    with pytest.raises(TrackError) as caught:
        cache.stat(uri)
    assert caught.value.kind == ErrorKind.BAD_URI
    assert re.match(reason, caught.value.reason)
