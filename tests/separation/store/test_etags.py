import hashlib
import io

import pytest

from separation.store.etags import S3Answer, answer_of, difference, equal_parts, etag_of

DATA = b"0123456789"
WHOLE = hashlib.md5(DATA).hexdigest()


def in_parts(*sizes: int) -> str:
    return etag_of(io.BytesIO(DATA), sizes)


def told(answer: S3Answer, *sizes: int, data: bytes = DATA) -> str:
    """The difference, from a store that has the object in parts of these sizes."""
    return difference(io.BytesIO(data), answer, lambda number: sizes[number - 1])


def test_an_etag_is_the_md5_or_that_of_the_parts_md5s() -> None:
    assert etag_of(io.BytesIO(DATA)) == WHOLE
    digests = hashlib.md5(DATA[:6]).digest() + hashlib.md5(DATA[6:]).digest()
    assert in_parts(6, 4) == f"{hashlib.md5(digests).hexdigest()}-2"


@pytest.mark.parametrize(("size", "part", "sizes"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (0, 4, [])])
def test_equal_parts(size: int, part: int, sizes: list[int]) -> None:
    assert equal_parts(size, part) == sizes


def test_bytes_are_compared_by_length_and_by_md5() -> None:
    assert told(S3Answer(WHOLE, 10, True)) == ""
    assert told(S3Answer(WHOLE, 10, True), data=DATA[:9]) == "9 bytes arrived of 10"
    assert told(S3Answer("no md5", 10, False), data=DATA[:9]) == "9 bytes arrived of 10"
    assert told(S3Answer(WHOLE, 10, True), data=b"x" * 10).startswith("bytes with ETag ")


@pytest.mark.parametrize("sizes", [(4, 4, 2), (6, 4), (10,), (3, 5, 2)])
def test_bytes_are_compared_part_by_part(sizes: tuple[int, ...]) -> None:
    answer = S3Answer(in_parts(*sizes), 10, True)
    assert told(answer, *sizes) == ""
    assert told(answer, *sizes, data=b"x" * 10).startswith("bytes with ETag ")


def test_a_store_that_takes_no_part_s_number_says_nothing_of_the_bytes() -> None:
    """It answers with the size of the whole object, so the ETag of unequal parts cannot be computed."""
    assert told(S3Answer(in_parts(6, 4), 10, True), 10, 10) == ""


def test_an_etag_that_is_no_md5_is_not_compared_at_all() -> None:
    assert told(S3Answer("ab" * 16, 10, False)) == ""
    assert told(S3Answer("0x8DC1", 10, True)) == ""  # not S3's form


@pytest.mark.parametrize(
    ("bucket", "reply", "is_md5"),
    [
        ("music", {}, True),
        ("music", {"ServerSideEncryption": "AES256"}, True),
        ("music", {"ServerSideEncryption": "aws:kms"}, False),
        ("music", {"SSECustomerAlgorithm": "AES256"}, False),
        ("music--use1-az4--x-s3", {}, False),
    ],
)
def test_which_etags_are_computed_from_the_bytes(bucket: str, reply: dict[str, str], is_md5: bool) -> None:
    assert answer_of(bucket, {"ETag": f'"{WHOLE}"'} | reply, 10) == S3Answer(WHOLE, 10, is_md5)
