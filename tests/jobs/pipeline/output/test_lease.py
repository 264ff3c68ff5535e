import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from jobs.pipeline.output import lease
from jobs.pipeline.output.lease import Lease, Lock, OutputInUse, OutputLost, this_machine
from separation.errors import StorageError
from tests.stores import STORE

HOLD = """
import sys
from jobs.pipeline.output.lease import Lease
from separation.store.objects import Store
from separation.store.retry import RetryPolicy
with Lease(sys.argv[1], "dead", Store(RetryPolicy())):
    print("held", flush=True)
    sys.stdin.read()
"""


def locks(output: str) -> list[Lock]:
    return [Lock(**json.loads(path.read_bytes())) for path in sorted(Path(output, "locks").glob("*.json"))]


def elsewhere(output: Path, **more: object) -> Lock:
    """A lock as of a run on another machine, written to `output`."""
    lock = replace(Lock("far", "far-away", "another boot", 1, 0.0, "2026-01-01"), **more)
    (output / "locks").mkdir(exist_ok=True)
    (output / "locks/000007.json").write_text(json.dumps(asdict(lock)))
    return lock


@pytest.fixture(params=["local", "s3"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{tmp_path if request.param == 'local' else request.getfixturevalue('bucket')}/out [a-z]*?"


def test_one_of_many_creates_an_object(output: str) -> None:
    uri = f"{output}/x"
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: STORE.create_bytes(str(n).encode(), uri), range(8)))
    assert sum(won) == 1
    assert STORE.read_bytes(uri) == str(won.index(True)).encode()
    assert STORE.create_bytes(STORE.read_bytes(uri), uri)  # as after a reply that was lost


def test_a_second_run_says_what_it_found(output: str) -> None:
    with Lease(output, "first", STORE) as first:
        with (
            pytest.raises(OutputInUse, match="in use by run first on "),
            Lease(output, "b", STORE),
        ):
            pass
        first.check()
    with Lease(output, "third", STORE):
        pass


def test_one_of_many_runs_takes_a_free_output(output: str) -> None:
    leases = [Lease(output, f"r{number}", STORE) for number in range(6)]

    def enter(one: Lease) -> bool:
        try:
            one.__enter__()
        except OutputInUse:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        entered = list(pool.map(enter, leases))
    assert sum(entered) == 1
    leases[entered.index(True)].__exit__()


def test_a_killed_run_is_followed_at_once(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    with pytest.raises(OutputInUse), Lease(str(tmp_path), "early", STORE):
        pass
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    waited: list[str] = []
    with Lease(str(tmp_path), "next", STORE, waited.append):
        (lock,) = locks(str(tmp_path))
        assert lock.run_id == "next"
    holder.communicate()
    assert waited == []


def test_a_silent_run_elsewhere_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EXPIRES_S", 0.2)
    monkeypatch.setattr(lease, "POLL_S", 0.01)
    elsewhere(tmp_path)
    said: list[str] = []
    with Lease(str(tmp_path), "next", STORE, said.append):
        (lock,) = locks(str(tmp_path))
    assert lock.run_id == "next"
    assert "held by run far on far-away" in said[0]


@pytest.mark.parametrize(
    "name",
    ["._000009.json", "000009 2.json", "000009.json.bak", "0000009.json", "-00009.json", "notes.json", "x"],
)
def test_what_is_no_lock_holds_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / name).write_bytes(b"\0\5\x16\7")
    said: list[str] = []
    with Lease(str(tmp_path), "next", STORE, said.append) as lease:
        lease._beat()
        assert {path.name for path in (tmp_path / "locks").iterdir()} == {name, "000001.json"}
    assert said == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"run_id": 7}', b'{"run_id": "later"}'],
)
def test_a_lock_that_cannot_be_read_is_waited_for_once(
    tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "EXPIRES_S", 0.1)
    monkeypatch.setattr(lease, "POLL_S", 0.01)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/000007.json").write_bytes(content)
    said: list[str] = []
    with Lease(str(tmp_path), "next", STORE, said.append):
        (lock,) = locks(str(tmp_path))
    assert lock.run_id == "next"
    assert "held by run unknown on a machine unknown" in said[0]
    first, later = Lock.parse(content), Lock.parse(content + b" beat")
    assert first.beat != later.beat  # a sign of life


def test_a_lock_without_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/000007.json").symlink_to("nowhere")
    named = pytest.raises(StorageError, match=r"locks/000007\.json: .* remove it")
    with named, Lease(str(tmp_path), "r", STORE):
        pass


def test_a_lock_of_a_later_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    later = asdict(replace(Lock("far", "far-away", "", 1, 0.0, "2026-01-01"), released=True)) | {"new": [1]}
    (tmp_path / "locks/000007.json").write_text(json.dumps(later))
    said: list[str] = []
    with Lease(str(tmp_path), "next", STORE, said.append):
        pass
    assert said == []


@pytest.mark.parametrize("pid", [-1, 0, 2**70])
def test_a_process_that_cannot_be_is_gone(pid: int) -> None:
    assert Lock("r", "here", this_machine(), pid, 0.0, "2026-01-01").is_gone()


def test_a_run_elsewhere_that_beats_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_S", 0.01)
    elsewhere(tmp_path)
    monkeypatch.setattr(Lease, "_read", beating(Lease._read, tmp_path))
    said: list[str] = []
    with pytest.raises(OutputInUse, match="far-away"):
        Lease(str(tmp_path), "next", STORE, said.append).__enter__()
    assert len(said) == 1


def beating(read, output: Path):
    """`Lease._read` of a lock whose holder beats before each reading."""
    beats = iter(range(1, 1000))

    def reading(self: Lease, number: int) -> Lock | None:
        elsewhere(output, beat=next(beats))
        return read(self, number)

    return reading


def test_who_was_taken_for_dead_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Lease(str(tmp_path), "slow", STORE) as slow:
        elsewhere(tmp_path)
        monkeypatch.setattr(slow, "_last_beat", float("-inf"))  # as after a minute's stop
        with pytest.raises(OutputLost, match="taken over by run far on far-away"):
            slow.check()
    (lock, other) = locks(str(tmp_path))
    assert (lock.released, other.run_id) == (False, "far")


def test_beats_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.01)
    with Lease(str(tmp_path), "r", STORE):
        while locks(str(tmp_path))[0].beat < 3:
            pass
    assert locks(str(tmp_path))[0].released


def test_a_lock_that_no_listing_shows_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "POLL_S", 0.001)
    monkeypatch.setattr(Lease, "_numbers", lambda self: [])
    STORE.put_bytes(b"{}", f"{tmp_path}/locks/000001.json")
    with pytest.raises(StorageError, match="locks: what it lists and what is there differ"):
        Lease(str(tmp_path), "r", STORE).__enter__()
