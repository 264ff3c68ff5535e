import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from separation.errors import StorageError
from separation.store.filesystems import S3_SETTINGS, join
from separation.store.metadata import Listed
from separation.store.retry import PATIENCE_VARIABLE
from tests.faulty_store import Answer, refused
from tests.stores import STORE

ROOT = Path(__file__).parents[3]
KEYS = ["a.wav", "b/a.wav", "b/c d#e+f%20?.flac", "b/ü.mp3", "b2/x.wav"]


@pytest.fixture(params=["s3", "path", "file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder in every kind of store."""
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/catalogue"
    return {"path": "", "file": "file://", "memory": "memory://"}[request.param] + str(tmp_path)


def put_all(root: str) -> None:
    for key in KEYS:
        STORE.put_bytes(key.encode(), join(root, key))


def test_what_is_put_can_be_read(root: str) -> None:
    put_all(root)
    for key in KEYS:
        assert STORE.read_bytes(join(root, key)) == key.encode()


def test_a_file_is_put_whole_and_replaces_another(root: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    uri = f"{root}/new/stem.wav"
    for data in (b"one", os.urandom(300_000), b""):
        source.write_bytes(data)
        STORE.put_file(source, uri)
        assert STORE.read_bytes(uri) == data
    assert list(STORE.list_files(f"{root}/new")) == [Listed(uri, 0)]


def test_a_folder_lists_its_own_files_sorted(root: str) -> None:
    put_all(root)
    assert list(STORE.list_files(root)) == [
        Listed(f"{root}/{key}", len(key.encode())) for key in sorted(KEYS)
    ]
    assert [found.uri for found in STORE.list_files(f"{root}/b/")] == [
        f"{root}/{key}" for key in sorted(KEYS)[1:4]
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.wav", ["a.wav"]),
        ("**/*.wav", ["a.wav", "b/a.wav", "b2/x.wav"]),
        ("b*/*.wav", ["b/a.wav", "b2/x.wav"]),
        ("b/[a-c]*", ["b/a.wav", "b/c d#e+f%20?.flac"]),
        ("nothing*", []),
    ],
)
def test_a_glob_lists_what_it_matches(root: str, pattern: str, expected: list[str]) -> None:
    put_all(root)
    found = [listed.uri for listed in STORE.find_files(root, pattern)]
    assert found == [f"{root}/{key}" for key in expected]


@pytest.mark.parametrize("folder", ["[live]", "*", "what?", "a [b", "**", "{x,y}"])
def test_no_character_of_a_folder_stands_for_others(root: str, folder: str) -> None:
    for key in (f"{folder}/a.wav", f"{folder}/b/[c].wav", "live/l.wav", "l/x.wav", "whatX/x.wav"):
        STORE.put_bytes(b"x", f"{root}/{key}")
    below = [f"{root}/{folder}/{key}" for key in ("a.wav", "b/[c].wav")]
    assert [found.uri for found in STORE.list_files(f"{root}/{folder}")] == below
    assert [found.uri for found in STORE.find_files(f"{root}/{folder}")] == below
    assert [found.uri for found in STORE.find_files(f"{root}/{folder}", "*.wav")] == below[:1]
    assert [found.uri for found in STORE.list_files(below[1])] == below[1:]


def test_a_listing_is_spelled_as_its_folder(root: str) -> None:
    put_all(root)
    scheme, mark, path = root.partition("://")
    folder = f"s3a://{path}//" if scheme == "s3" else f"{scheme}{mark}{path}/"
    found = [listed.uri for listed in STORE.list_files(folder)]
    assert found == [f"{folder.rstrip('/')}/{key}" for key in sorted(KEYS)]


def test_a_file_lists_itself_and_nothing_lists_nothing(root: str) -> None:
    put_all(root)
    assert list(STORE.list_files(f"{root}/a.wav")) == [Listed(f"{root}/a.wav", 5)]
    assert list(STORE.list_files(f"{root}/nowhere")) == []


def test_a_listing_is_never_remembered(root: str) -> None:
    put_all(root)
    assert len(list(STORE.list_files(root))) == len(KEYS)
    STORE.put_bytes(b"", f"{root}/z")
    assert len(list(STORE.list_files(root))) == len(KEYS) + 1
    STORE.remove([f"{root}/z"])
    assert len(list(STORE.list_files(root))) == len(KEYS)


def test_stat_changes_when_the_object_does(root: str) -> None:
    uri = f"{root}/song"
    STORE.put_bytes(b"one", uri)
    before = STORE.stat(uri)
    assert before.bytes == 3
    assert STORE.stat(uri) == before
    STORE.put_bytes(b"two", uri)
    assert STORE.stat(uri).etag != before.etag


def test_remove_forgives_what_is_gone(root: str) -> None:
    put_all(root)
    STORE.remove([f"{root}/a.wav", f"{root}/never.wav", f"{root}/b/a.wav"])
    assert [found.uri for found in STORE.list_files(root)] == [f"{root}/{key}" for key in sorted(KEYS)[2:]]


@pytest.mark.parametrize("call", [STORE.stat, STORE.read_bytes])
def test_a_missing_object_says_which(root: str, call: Callable[[str], object]) -> None:
    put_all(root)
    with pytest.raises(FileNotFoundError) as caught:
        call(f"{root}/nope.wav")
    assert f"{root}/nope.wav" in str(pickle.loads(pickle.dumps(caught.value)))
    with pytest.raises(FileNotFoundError):
        STORE.stat(f"{root}/b")  # a folder is no object


@pytest.mark.parametrize(
    "call",
    [
        STORE.stat,
        STORE.read_bytes,
        lambda uri: STORE.put_bytes(b"", uri),
        lambda uri: list(STORE.list_files(uri)),
        lambda uri: STORE.put_file(__file__, uri),
    ],
)
def test_a_missing_bucket_is_the_store_s_fault(s3_endpoint: str, call: Callable[[str], object]) -> None:
    with pytest.raises(StorageError) as caught:
        call("s3://no-such-bucket/song.wav")
    assert "s3://no-such-bucket/song.wav: NoSuchBucket" in str(pickle.loads(pickle.dumps(caught.value)))


@pytest.mark.parametrize("uri", ["nonsense://a/b", "s3fs.core"])
def test_what_no_store_answers_to(uri: str) -> None:
    with pytest.raises((StorageError, FileNotFoundError), match=uri.split(":")[0]):
        STORE.stat(uri)


def test_a_failed_put_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "stem.wav").mkdir()  # no file can take its place
    with pytest.raises(StorageError, match=r"stem\.wav"):
        STORE.put_bytes(b"new", f"{tmp_path}/stem.wav")
    with pytest.raises(StorageError, match=r"stem\.wav"):
        STORE.put_file(__file__, f"{tmp_path}/stem.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["stem.wav"]


def test_an_output_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    STORE.put_bytes(b"", f"{tmp_path}/stem")
    assert (tmp_path / "stem").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_that_cannot_be_written_is_the_store_s_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file/stem"):
        STORE.put_bytes(b"", f"{tmp_path}/file/stem")


def test_a_large_file_is_put_in_parts_and_read_back(bucket: str, s3: str, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(os.urandom(1 << 20) * 110)
    STORE.put_file(source, f"{bucket}/large")
    assert STORE.stat(f"{bucket}/large").bytes == 110 << 20
    assert STORE.stat(f"{bucket}/large").etag.endswith("-3") or s3 == "localbucket"  # which counts no parts
    STORE.download(f"{bucket}/large", copy)
    assert source.read_bytes() == copy.read_bytes()


async def head_refused(exchange):
    """HEAD has no body to say why."""
    return await exchange.send(Answer(403, {"Content-Length": "0"}, b""))


CALL = """
import sys
from separation.store.objects import Store
from separation.store.retry import RetryPolicy
store = Store(RetryPolicy.from_environment())
try:
    print(eval(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error)
"""


def outcome(proxy, expression: str, patience: float = 60) -> str:
    call = proxy.run(CALL, expression, **{PATIENCE_VARIABLE: str(patience)})
    return call.communicate()[0].strip()


def test_an_object_that_is_not_for_us_is_told_from_a_store_that_refuses_us(proxy, bucket: str) -> None:
    STORE.put_bytes(b"x", f"{bucket}/song")
    proxy.always = {"HEAD": head_refused, "GET": refused(403, "AccessDenied")}
    assert outcome(proxy, f"store.stat('{bucket}/song')").startswith("PermissionError")
    proxy.always["GET"] = refused(403, "ExpiredToken")
    assert outcome(proxy, f"store.stat('{bucket}/song')").startswith(
        f"StorageError {bucket}/song: ExpiredToken"
    )


def test_a_long_listing_arrives_in_pages(proxy, bucket: str) -> None:
    put_all(bucket)
    proxy.page_keys = 2
    listed = outcome(proxy, f"[found.uri for found in store.list_files('{bucket}')]")
    assert listed == str([f"{bucket}/{key}" for key in sorted(KEYS)])


def test_the_marker_of_a_folder_is_no_file(bucket: str, s3: str) -> None:
    fs = fsspec.filesystem("s3", **S3_SETTINGS)
    refused = pytest.raises(OSError, match="does not support this key")  # localbucket keeps keys as files
    with refused if s3 == "localbucket" else contextlib.nullcontext():
        fs.call_s3("put_object", Bucket=bucket[5:], Key="made-in-a-console/")
    assert list(STORE.list_files(bucket)) == []


def test_a_put_survives_two_refusals_and_no_more_than_the_tries(proxy, bucket: str) -> None:
    proxy.faults = {"PUT": [refused(503, "SlowDown"), refused(500, "InternalError")]}
    assert outcome(proxy, f"store.put_bytes(b'stem', '{bucket}/stem')") == "None"
    assert STORE.read_bytes(f"{bucket}/stem") == b"stem"
    proxy.always = {"PUT": refused(500, "InternalError")}
    assert outcome(proxy, f"store.put_bytes(b'new', '{bucket}/stem')", patience=0).startswith(
        f"StorageError {bucket}/stem: InternalError"
    )
    assert STORE.read_bytes(f"{bucket}/stem") == b"stem"


def test_a_store_that_does_not_answer_is_a_storage_error(bucket: str) -> None:
    environment = os.environ | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", PATIENCE_VARIABLE: "0"}
    command = [sys.executable, "-c", CALL, "store.stat('s3://bucket/song')"]
    found = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=True)
    assert found.stdout.startswith("StorageError s3://bucket/song: Could not connect")
    assert "secret" not in found.stdout
