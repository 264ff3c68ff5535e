import errno
import os

import pytest

from separation.errors import Kind, StorageError, TrackError
from separation.stores import open_store, reading, shown, writing


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/a b?c@d.wav", "s3://bucket/a b?c@d.wav"),
        ("ftp://me:secret@host/song.wav", "ftp://host/song.wav"),
        ("https://host/song.wav?X-Amz-Signature=secret", "https://host/song.wav"),
        ("/plain/path", "/plain/path"),
    ],
)
def test_messages_carry_no_credentials(uri: str, expected: str) -> None:
    assert shown(uri) == expected


def test_a_full_disk_is_a_storage_error() -> None:
    with (
        pytest.raises(StorageError, match=os.strerror(errno.ENOSPC)),
        writing("/dev/full"),
        open("/dev/full", "wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_a_track_s_error_passes_unchanged() -> None:
    error = TrackError("s3://bucket/song", Kind.CHANGED, "newer")
    with pytest.raises(TrackError) as caught, writing("/cache"), reading("/cache"):
        raise error
    assert caught.value is error


def test_a_store_without_its_library_or_name_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="nonsense://a/b"):
        open_store("nonsense://a/b")


def test_one_filesystem_a_process() -> None:
    assert open_store("s3://one/a")[0] is open_store("s3://two/b")[0]
