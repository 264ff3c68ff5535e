import errno
import os
import traceback

import aiohttp
import pytest
from aiohttp import RequestInfo
from botocore.exceptions import ClientError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from separation.errors import ErrorKind, StorageError, TrackError
from separation.store.errors import Interrupted, NotOffered, object_errors, refuses_name, store_errors

SECRET = "https://me:hush@host/song.wav?X-Amz-Signature=hush"


@pytest.mark.parametrize("error", [OSError(f"404 {SECRET}"), FileNotFoundError(SECRET)])
def test_messages_and_their_causes_carry_no_credentials(error: OSError) -> None:
    """Ray logs an exception with all its causes."""
    with pytest.raises((OSError, StorageError)) as caught, object_errors(SECRET):
        raise error
    text = "".join(traceback.format_exception(caught.value))
    assert "https://host/song.wav" in text
    assert "hush" not in text + repr(caught.value)  # whose arguments are sent to other processes


def test_what_a_filesystem_hides_in_a_missing_file_is_looked_up() -> None:
    request = RequestInfo(URL("http://host/song"), "GET", CIMultiDictProxy(CIMultiDict()))
    for hidden in (aiohttp.ServerDisconnectedError(), aiohttp.ClientResponseError(request, (), status=503)):
        with pytest.raises(Interrupted), object_errors("http://host/song"):
            raise FileNotFoundError("http://host/song") from hidden
    with pytest.raises(FileNotFoundError), object_errors("http://host/song"):
        raise FileNotFoundError("http://host/song") from KeyError("nobody knows")


def test_a_cause_without_credentials_is_kept() -> None:
    with pytest.raises(StorageError) as caught, object_errors("s3://bucket/song"):
        raise OSError("reset by peer")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_full_disk_is_a_storage_error() -> None:
    with (
        pytest.raises(StorageError, match=os.strerror(errno.ENOSPC)),
        store_errors("/dev/full"),
        open("/dev/full", "wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_a_track_s_error_passes_unchanged() -> None:
    error = TrackError("s3://bucket/song", ErrorKind.CHANGED, "newer")
    with pytest.raises(TrackError) as caught, store_errors("/cache"), object_errors("/cache"):
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (500, "InternalError", Interrupted),
        (503, "503", Interrupted),  # a load balancer's page, without a code
        (429, "TooManyRequests", Interrupted),
        (408, "408", Interrupted),
        (400, "BadDigest", Interrupted),
        (409, "ConditionalRequestConflict", Interrupted),
        (501, "NotImplemented", NotOffered),
        (400, "ExpiredToken", StorageError),
        (404, "NoSuchBucket", StorageError),
    ],
)
def test_which_answers_are_worth_another_try(status: int, code: str, expected: type[StorageError]) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(StorageError, match=code) as caught, object_errors("s3://bucket/song"):
        raise OSError("as s3fs raises it") from ClientError(answer, "GetObject")  # type: ignore[arg-type]
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("code", "is_of_the_name"),
    [
        ("KeyTooLongError", True),
        ("XMinioInvalidObjectName", True),
        ("XMinioParentIsObject", True),
        ("InvalidArgument", False),
        ("NoSuchBucket", False),
    ],
)
def test_which_answers_speak_of_the_name_alone(code: str, is_of_the_name: bool) -> None:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    with pytest.raises(StorageError) as caught, store_errors("s3://bucket/song"):
        raise OSError(errno.EINVAL, "as s3fs raises it") from ClientError(answer, "PutObject")  # type: ignore[arg-type]
    assert refuses_name(caught.value) is is_of_the_name
