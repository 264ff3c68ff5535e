import argparse
import os
from pathlib import Path

import pytest

from separation.arguments import absolute, check_folder, share_or_count, uri
from separation.errors import UsageError


def test_a_scheme_becomes_lower_case_and_nothing_else_does() -> None:
    assert [uri(text) for text in ("S3://Bucket/A", "A/B", "/A")] == ["s3://Bucket/A", "A/B", "/A"]


def test_a_folder_may_be_missing_and_a_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "broken").symlink_to("nowhere")
    for good in (tmp_path, tmp_path / "a/b/c", "s3://bucket/anything", os.path.relpath(tmp_path)):
        check_folder(good)
    for name in ("file", "file/below/it", "broken"):
        with pytest.raises(UsageError, match="cannot be a folder"):
            check_folder(tmp_path / name)


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("memory://out", "gone with the process"),
        ("MEMORY://out/", "gone with the process"),
        ("http://host/out", "a web server takes no files"),
        ("https://host/out", "a web server takes no files"),
        ("data://out", "the address itself is the data"),
    ],
)
def test_an_output_outlives_the_process(output: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"{output} cannot be an output: .*{reason}"):
        check_folder(output)


def test_a_plain_path_becomes_absolute() -> None:
    assert absolute("s3://bucket/x/") == "s3://bucket/x"
    assert absolute("x/") == f"{os.getcwd()}/x"
    assert absolute("/") == "/"


def test_a_share_has_a_point_and_a_number_has_none() -> None:
    assert [(type(each), each) for each in map(share_or_count, ("1.0", "1", "0"))] == [
        (float, 1.0), (int, 1), (int, 0),
    ]  # fmt: skip


def test_an_empty_path_is_refused() -> None:
    """An unset variable of a shell would otherwise mean the root of the disk."""
    with pytest.raises(argparse.ArgumentTypeError, match="is empty"):
        uri("")
