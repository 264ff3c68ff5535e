import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from separation.errors import SeparationError
from separation.store.objects import Store
from separation.store.redact import host_of, plain, shown, without_credentials
from separation.store.retry import RetryPolicy

HOSTILE = "a\nb\r\x1b[31m\u202egpj\u2028\x07.wav"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/a b?c@d.wav", "s3://bucket/a b?c@d.wav"),
        ("s3://key:secret@bucket/a.wav", "s3://bucket/a.wav"),
        ("ftp://me:se'c:r@et@host/song.wav", "ftp://host/song.wav"),
        ("https://host/a@b.wav", "https://host/a@b.wav"),
        ("HTTPS://host/song.wav?X-Amz-Signature=secret and more", "HTTPS://host/song.wav"),
        (
            "404, message='Not Found', url='https://me:secret@host/x?sig=secret', twice http://h/?k=secret.",
            "404, message='Not Found', url='https://host/x', twice http://h/.",
        ),
        ("/plain/path?x", "/plain/path?x"),
        ("https://host/it's a #1.wav?sig=secret", "https://host/it's a #1.wav"),
        ("simplecache::https://me:secret@host/a b?sig=secret", "simplecache::https://host/a b"),
        ("503, url='https://h/it's%20#1?sig=sec'ret', again", "503, url='https://h/it's%20#1', again"),
        ('("https://host/<a>?k=sec"ret") [http://h/b?k=secret]', '("https://host/<a>") [http://h/b]'),
    ],
)
def test_no_credentials(text: str, expected: str) -> None:
    assert without_credentials(text) == expected
    assert without_credentials(expected) == expected


def test_what_is_shown_is_one_harmless_line() -> None:
    assert shown(HOSTILE) == "a\\nb\\r\\x1b[31m\\u202egpj\\u2028\\x07.wav"
    assert shown(shown(HOSTILE)) == shown(HOSTILE)
    assert shown(HOSTILE).isprintable()
    assert plain("夜の歌/café 👨\u200d👩.mp3") == "夜の歌/café 👨\u200d👩.mp3"
    assert plain("lone \udcff surrogate") == "lone \\udcff surrogate"


class Busy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503, "sorry")

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def busy_server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["plain", "it's", "it%27s", "%231%20hit%3F", "a,b;(c)[d]"])
def test_no_signature_is_logged_or_raised(
    name: str, busy_server: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Whatever the library that fetches makes of the address in its own texts."""
    store = Store(RetryPolicy(patience_s=0, fewest_tries=2, first_pause_s=0))
    uri = f"{busy_server}/{name}?X-Amz-Credential=hush%27hush&X-Amz-Signature=hush"
    with caplog.at_level(logging.DEBUG, "separation"), pytest.raises((SeparationError, OSError)) as caught:
        store.download(uri, tmp_path / "song")
    said = [caplog.text]
    error: BaseException | None = caught.value
    while error is not None:
        said.append(f"{error} {error!r}")
        error = error.__cause__
    assert busy_server in "".join(said)
    assert "hush" not in "".join(said)


@pytest.mark.parametrize(
    ("uri", "host"),
    [
        ("https://me:hush@Host:8080/a/b.wav?sig=hush", "https://Host:8080"),
        ("http://host?sig=hush", "http://host"),
        ("S3://bucket/a/b.wav", "s3://bucket"),
        ("s3://a\x1b/b", "s3://a\\x1b"),
        ("/music/a.wav", "file://"),
        ("file:///music/a.wav", "file://"),
    ],
)
def test_the_host_of_a_uri(uri: str, host: str) -> None:
    assert host_of(uri) == host
