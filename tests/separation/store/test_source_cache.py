import errno
import fcntl
import hashlib
import os
import pickle
import time
from pathlib import Path

import pytest

from separation.errors import ErrorKind, SourceUnreachable, StorageError, TrackError
from separation.store.errors import object_errors
from separation.store.location import Location
from separation.store.retry import RetryPolicy
from separation.store.s3 import S3Location
from separation.store.source_cache import SourceCache
from tests.faulty_store import cut, flipped, flipped_unchecked, refused
from tests.stores import STORE

TICK_S = 0.02  # more than the kernel's clock for the times of files
FETCH = """
import hashlib, sys
from separation.store.source_cache import SourceCache
from tests.stores import STORE
uri, etag, folder = sys.argv[1:]
try:
    with SourceCache(folder, 10**9, STORE).open(uri, etag) as file:
        print(hashlib.file_digest(file, "sha256").hexdigest())
except Exception as error:
    print(type(error).__name__, error)
"""


def put(uri: str, data: bytes) -> str:
    """The etag of the object that is there now."""
    STORE.put_bytes(data, uri)
    return STORE.stat(uri).etag


def fetch(proxy, uri: str, etag: str, folder: Path) -> str:
    return proxy.run(FETCH, uri, etag, folder).communicate()[0].strip()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def opened(cache: SourceCache, uri: str, etag: str) -> bytes:
    with cache.open(uri, etag) as file:
        return file.read()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_object_is_fetched_once_and_is_a_real_file(bucket: str, tmp_path: Path) -> None:
    cache = SourceCache(tmp_path / "cache", 10**6, STORE)
    etag = put(f"{bucket}/song", b"audio")
    with cache.open(f"{bucket}/song", etag) as file:
        assert (file.read(), os.fstat(file.fileno()).st_size) == (b"audio", 5)
    STORE.remove([f"{bucket}/song"])
    with cache.open(f"{bucket}/song", etag) as file:  # from the disk
        assert file.read() == b"audio"


def test_a_local_file_is_opened_where_it_is(tmp_path: Path) -> None:
    song = tmp_path / "song"
    song.write_bytes(b"audio")
    cache = SourceCache(tmp_path / "cache", 10**6, STORE)
    for uri in (str(song), f"file://{song}"):
        with cache.open(uri, STORE.stat(uri).etag) as file:
            assert os.path.samestat(os.fstat(file.fileno()), song.stat())
    assert not (tmp_path / "cache").exists()


def test_another_version_is_another_entry(bucket: str, tmp_path: Path) -> None:
    cache = SourceCache(tmp_path, 10**6, STORE)
    old = put(f"{bucket}/song", b"old")
    opened(cache, f"{bucket}/song", old)
    new = put(f"{bucket}/song", b"new")
    with cache.open(f"{bucket}/song", new) as file:
        assert file.read() == b"new"


@pytest.mark.parametrize("store", ["s3", "local"])
def test_an_object_replaced_since_the_probe_has_changed(store: str, bucket: str, tmp_path: Path) -> None:
    uri = f"{bucket}/song" if store == "s3" else str(tmp_path / "song")
    etag = put(uri, b"old")
    put(uri, b"newer")
    with pytest.raises(TrackError) as caught:
        opened(SourceCache(tmp_path / "cache", 10**6, STORE), uri, etag)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.uri, error.kind) == (uri, ErrorKind.CHANGED)
    assert etag in error.reason
    assert store == "local" or names(tmp_path / "cache") == []


@pytest.mark.parametrize("in_place", [False, True])
def test_a_local_file_replaced_with_its_size_and_time_kept_has_changed(
    in_place: bool, tmp_path: Path
) -> None:
    song, other = tmp_path / "song", tmp_path / "other"
    etag = put(str(song), b"old")
    before = song.stat()
    time.sleep(TICK_S)
    (song if in_place else other).write_bytes(b"new")
    os.utime(song if in_place else other, ns=(before.st_atime_ns, before.st_mtime_ns))
    if not in_place:
        other.rename(song)
    assert (song.stat().st_size, song.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    with pytest.raises(TrackError, match="changed"):
        opened(SourceCache(tmp_path / "cache", 10**6, STORE), str(song), etag)


@pytest.mark.parametrize("ends_well", [False, True])
def test_a_local_file_overwritten_while_it_is_read_has_changed(ends_well: bool, tmp_path: Path) -> None:
    """And is not corrupt, as the mixture of both that was decoded may be."""
    song = tmp_path / "song"
    etag = put(str(song), b"old")
    cache = SourceCache(tmp_path / "cache", 10**6, STORE)
    with pytest.raises(TrackError, match="changed"), cache.open(str(song), etag):
        time.sleep(TICK_S)
        song.write_bytes(b"new")
        if not ends_well:
            raise TrackError(str(song), ErrorKind.CORRUPT, "half of each")


@pytest.mark.parametrize("damage", [b"audiO", b"aud", b""])
def test_a_file_damaged_in_the_cache_is_fetched_again(damage: bytes, bucket: str, tmp_path: Path) -> None:
    cache = SourceCache(tmp_path, 10**6, STORE)
    etag = put(f"{bucket}/song", b"audio")
    opened(cache, f"{bucket}/song", etag)
    (whole,) = tmp_path.iterdir()
    whole.write_bytes(damage)
    assert opened(cache, f"{bucket}/song", etag) == b"audio"
    assert (names(tmp_path), whole.read_bytes()) == ([whole.name], b"audio")


def test_a_full_disk_is_this_nodes_and_no_fault_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(location: Location, *arguments: object) -> None:
        with object_errors(location.uri):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(S3Location, "download", download)
    with pytest.raises(StorageError, match=f"^disk full: {tmp_path} has [0-9]+ bytes left") as caught:
        opened(SourceCache(tmp_path, 10**6, STORE), "s3://bucket/song", "0" * 32)
    assert not isinstance(caught.value, SourceUnreachable)


def test_an_object_replaced_during_the_read_has_changed(proxy, bucket: str, tmp_path: Path) -> None:
    etag = put(f"{bucket}/song", bytes(1_000_000))

    async def overtaken(exchange):
        answer = await exchange.ask()
        STORE.put_bytes(b"\1" * 1_000_000, f"{bucket}/song")
        await exchange.send(answer, 500_000)
        return exchange.reset()  # the rest would be the new version's

    proxy.faults = {"GET": [overtaken]}
    assert fetch(proxy, f"{bucket}/song", etag, tmp_path).startswith(f"TrackError {bucket}/song: changed")


@pytest.mark.parametrize("store", ["s3", "local"])
def test_an_object_that_is_gone_is_missing(store: str, bucket: str, tmp_path: Path) -> None:
    uri = f"{bucket}/song" if store == "s3" else str(tmp_path / "song")
    with pytest.raises(TrackError) as caught:
        opened(SourceCache(tmp_path / "cache", 10**6, STORE), uri, "0" * 32)
    assert caught.value.kind == ErrorKind.MISSING


def test_an_object_that_is_closed_to_us_is_denied(proxy, bucket: str, tmp_path: Path) -> None:
    etag = put(f"{bucket}/song", b"audio")
    proxy.always = {"GET": refused(403, "AccessDenied")}
    assert fetch(proxy, f"{bucket}/song", etag, tmp_path).startswith(f"TrackError {bucket}/song: denied")


def test_a_missing_bucket_is_no_fault_of_the_track(s3_endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="NoSuchBucket"):
        opened(SourceCache(tmp_path, 10**6, STORE), "s3://no-such-bucket/song", "0" * 32)


def test_a_body_that_breaks_off_is_fetched_again(proxy, bucket: str, tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    etag = put(f"{bucket}/song", data)
    proxy.faults = {"GET": [cut, cut]}
    assert fetch(proxy, f"{bucket}/song", etag, tmp_path) == sha256(data)


@pytest.mark.parametrize(
    ("fault", "told"), [(flipped, "Expected checksum"), (flipped_unchecked, "bytes with ETag")]
)
def test_damaged_bytes_are_fetched_again_and_given_up_in_the_end(
    fault, told: str, proxy, bucket: str, s3: str, tmp_path: Path
) -> None:
    told = "bytes with ETag" if s3 == "localbucket" else told  # which sends no checksums
    etag = put(f"{bucket}/song", b"audio" * 1_000)
    proxy.faults = {"GET": [fault, fault]}
    assert fetch(proxy, f"{bucket}/song", etag, tmp_path / "one") == sha256(b"audio" * 1_000)
    proxy.always = {"GET": fault}
    failed = fetch(proxy, f"{bucket}/song", etag, tmp_path / "two")
    assert failed.startswith(f"SourceUnreachable {bucket}/song: {told}")
    assert failed.endswith(f"({RetryPolicy().damaged_tries} times)")
    assert names(tmp_path / "two") == []


def test_an_etag_that_is_no_md5_is_not_compared(proxy, bucket: str, tmp_path: Path) -> None:
    put(f"{bucket}/song", b"audio")

    async def encrypted(exchange):
        answer = await exchange.ask()
        answer.headers = {name: value for name, value in answer.headers.items() if name.lower() != "etag"}
        answer.headers |= {"ETag": f'"{"ab" * 16}"', "x-amz-server-side-encryption": "aws:kms"}
        return await exchange.send(answer)

    proxy.always = {"HEAD": encrypted, "GET": encrypted}
    assert fetch(proxy, f"{bucket}/song", "ab" * 16, tmp_path) == sha256(b"audio")


def test_a_large_object_arrives_whole(proxy, bucket: str, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 60  # beyond the 50 MiB from which s3fs reads ranges in parallel
    etag = put(f"{bucket}/long", data)
    proxy.faults = {"GET": [cut]}
    assert fetch(proxy, f"{bucket}/long", etag, tmp_path) == sha256(data)
    assert sum(request.startswith("GET") for request in proxy.seen) == 2


def test_several_processes_fetch_once(proxy, bucket: str, tmp_path: Path) -> None:
    data = os.urandom(20 << 20)
    etag = put(f"{bucket}/song", data)
    processes = [proxy.run(FETCH, f"{bucket}/song", etag, tmp_path) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in processes] == [sha256(data)] * 3
    assert sum(request.startswith("GET") for request in proxy.seen) == 1
    assert len(names(tmp_path)) == 1


def test_a_part_that_a_dead_process_left_is_taken_over(bucket: str, tmp_path: Path) -> None:
    cache = SourceCache(tmp_path, 10**6, STORE)
    etag = put(f"{bucket}/song", b"audio")
    opened(cache, f"{bucket}/song", etag)
    (whole,) = tmp_path.iterdir()
    part = tmp_path / f"{whole.name.partition('-')[0]}.part"
    whole.rename(part)
    part.write_bytes(b"half of something longer")
    with cache.open(f"{bucket}/song", etag) as file:
        assert file.read() == b"audio"
    assert names(tmp_path) == [whole.name]


def test_the_least_recently_opened_goes_first(bucket: str, tmp_path: Path) -> None:
    cache = SourceCache(tmp_path, 2_500, STORE)
    etags = {key: put(f"{bucket}/{key}", key.encode() * 1_000) for key in "abc"}
    for key in "ab":
        opened(cache, f"{bucket}/{key}", etags[key])
    for path in tmp_path.iterdir():
        age = {b"a": 1, b"b": 2}[path.read_bytes()[:1]]
        os.utime(path, (age, age))
    opened(cache, f"{bucket}/a", etags["a"])  # now b is the oldest
    with cache.open(f"{bucket}/c", etags["c"]) as file:
        assert file.read() == b"c" * 1_000
    assert {path.read_bytes()[:1] for path in tmp_path.iterdir()} == {b"a", b"c"}


def test_an_open_file_keeps_its_bytes_when_its_name_goes(bucket: str, tmp_path: Path) -> None:
    cache = SourceCache(tmp_path, 1_500, STORE)
    first, second = (put(f"{bucket}/{key}", key.encode() * 1_000) for key in "ab")
    with cache.open(f"{bucket}/a", first) as file:
        opened(cache, f"{bucket}/b", second)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"b" * 1_000]
        assert file.read() == b"a" * 1_000


def test_a_part_in_flight_is_never_removed_but_a_dead_one_is(bucket: str, tmp_path: Path) -> None:
    for name in ("in-flight.part", "dead.part"):
        (tmp_path / name).write_bytes(bytes(10_000))
        os.utime(tmp_path / name, (0, 0))
    etag = put(f"{bucket}/song", b"audio")
    with (tmp_path / "in-flight.part").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        opened(SourceCache(tmp_path, 1_000, STORE), f"{bucket}/song", etag)
    assert "in-flight.part" in names(tmp_path)
    assert "dead.part" not in names(tmp_path)


def test_an_object_larger_than_the_cache_is_still_read(bucket: str, tmp_path: Path) -> None:
    etag = put(f"{bucket}/song", bytes(10_000))
    with SourceCache(tmp_path, 100, STORE).open(f"{bucket}/song", etag) as file:
        assert file.read() == bytes(10_000)


def test_opening_counts_as_use(bucket: str, tmp_path: Path) -> None:
    etag = put(f"{bucket}/song", b"audio")
    cache, begun = SourceCache(tmp_path, 10**6, STORE), time.time()
    opened(cache, f"{bucket}/song", etag)
    (whole,) = tmp_path.iterdir()
    os.utime(whole, (0, 0))
    opened(cache, f"{bucket}/song", etag)
    assert whole.stat().st_mtime >= begun - 1
