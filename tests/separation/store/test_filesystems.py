import os

import pytest

from separation.errors import StorageError
from separation.store.errors import BadAddress
from separation.store.filesystems import open_store


def test_a_store_without_its_library_or_name_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="nonsense://a/b"):
        open_store("nonsense://a/b")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of fsspec's FTP
@pytest.mark.parametrize(
    "uri",
    ["ftp://host/a.wav", "sftp://me@host/a.wav", "zip://a.wav", "simplecache::http://host/a.wav", "x y://a"],
)
def test_a_scheme_that_is_not_offered_is_a_bad_address(uri: str) -> None:
    with pytest.raises(BadAddress, match=f"{uri.partition('://')[0]}:// is not offered"):
        open_store(uri)


def test_a_scheme_has_no_case_and_what_follows_has() -> None:
    assert open_store("S3://Bucket/Key")[0] is open_store("s3://b/k")[0]
    assert open_store("S3://Bucket/Key")[1] == "Bucket/Key"
    assert open_store("File:///A")[1] == "/A"
    assert open_store("HTTP://Host/A")[1] == "http://Host/A"


def test_one_filesystem_a_process() -> None:
    assert open_store("s3://one/a")[0] is open_store("s3://two/b")[0]


def test_a_forked_child_has_a_filesystem_of_its_own() -> None:
    """s3fs's event loop is a thread, and no thread survives a fork."""
    before = open_store("s3://bucket/a")[0]
    if not (child := os.fork()):
        os._exit(0 if open_store("s3://bucket/a")[0] is not before else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_s3fs_adds_no_tries_of_its_own() -> None:
    """They would multiply botocore's, which multiply ours."""
    assert open_store("s3://bucket/a")[0].retries == 1


def test_s3fs_remembers_no_listing() -> None:
    """Other processes write below the same folders."""
    assert not open_store("s3://bucket/a")[0].dircache.use_listings_cache
