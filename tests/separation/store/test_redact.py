import pytest

from separation.store.redact import host_of, plain, shown, without_credentials

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
            "404, message='Not Found', url='https://host/x', twice http://h/",
        ),
        ("/plain/path?x", "/plain/path?x"),
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
