import errno
import os
import pickle
import time
from collections.abc import Callable, Iterator

import pytest

from separation.errors import StorageError
from separation.store.errors import DamagedRead, Interrupted, object_errors, store_errors
from separation.store.objects import Store
from separation.store.retry import PATIENCE_VARIABLE, HostPatience, RetryPolicy, call

URI = "s3://bucket/song"
AT_ONCE = RetryPolicy(patience_s=0, first_pause_s=0)


def failing(*errors: Exception) -> Callable[[], str]:
    """Raises each of `errors` once, in this order, and then returns."""
    left: Iterator[Exception] = iter(errors)

    def operation() -> str:
        for error in left:
            raise error
        return "done"

    return operation


def test_an_operation_is_tried_again_while_the_store_is_disturbed() -> None:
    operation = failing(ConnectionResetError(), TimeoutError(), Interrupted(URI, "busy"))
    patient = RetryPolicy(patience_s=60, first_pause_s=0)
    assert call(URI, operation, object_errors, patient) == "done"


def test_a_store_that_stays_disturbed_is_given_up_with_its_last_reason() -> None:
    operation = failing(*(ConnectionResetError(number) for number in range(10)))
    with pytest.raises(StorageError, match=r"^s3://bucket/song: 2 \(3 tries in 0 s\)$"):
        call(URI, operation, object_errors, AT_ONCE)
    assert AT_ONCE.fewest_tries == 3


def test_the_patience_counts_from_the_first_failure() -> None:
    """An upload of an hour that breaks at its end is tried again too."""
    broken = failing(ConnectionResetError())

    def slow() -> str:
        time.sleep(0.2)
        return broken()

    assert call(URI, slow, object_errors, RetryPolicy(patience_s=0.1, fewest_tries=1)) == "done"


def test_damaged_bytes_are_asked_for_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("waited"))
    damaged = [DamagedRead(URI, "wrong bytes")] * 6
    assert call(URI, failing(*damaged[:5]), object_errors, RetryPolicy()) == "done"
    with pytest.raises(StorageError, match=r"wrong bytes \(6 times\)"):
        call(URI, failing(*damaged), object_errors, RetryPolicy())


@pytest.mark.parametrize("error", [OSError("no space"), StorageError(URI, "refused")])
def test_what_another_try_would_not_change_is_not_tried_again(error: Exception) -> None:
    with pytest.raises(StorageError):
        call(URI, failing(error), object_errors, RetryPolicy())


def test_a_missing_object_is_its_track_s_fault_only_where_it_is_read() -> None:
    missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with pytest.raises(FileNotFoundError, match=URI):
        call(URI, failing(missing), object_errors, RetryPolicy())
    with pytest.raises(StorageError, match=URI):
        call(URI, failing(missing), store_errors, RetryPolicy())


def test_pauses_grow_differ_and_end_with_the_patience() -> None:
    policy = RetryPolicy(patience_s=300, first_pause_s=0.5, longest_pause_s=20)
    for failures, bound in [(1, 0.5), (2, 1.0), (4, 4.0), (30, 20.0)]:
        drawn = [policy.pause_s(failures, 0.0) for _ in range(200)]
        assert 0 <= min(drawn) < bound / 2 < max(drawn) <= bound
        assert len(set(drawn)) > 100
    assert max(policy.pause_s(30, 299.5) for _ in range(200)) <= 0.5


def test_the_environment_gives_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATIENCE_VARIABLE, raising=False)
    assert RetryPolicy.from_environment() == RetryPolicy()
    monkeypatch.setenv(PATIENCE_VARIABLE, "2.5")
    assert RetryPolicy.from_environment() == RetryPolicy(patience_s=2.5)
    monkeypatch.setenv(PATIENCE_VARIABLE, "soon")
    with pytest.raises(StorageError, match=f"{PATIENCE_VARIABLE}: 'soon' is no number of seconds"):
        RetryPolicy.from_environment()


def test_a_process_reads_the_environment_once_and_a_store_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE_VARIABLE, "2.5")
    store = Store(RetryPolicy.from_environment())
    monkeypatch.setenv(PATIENCE_VARIABLE, "7")
    assert pickle.loads(pickle.dumps(store)) == store == Store(RetryPolicy(patience_s=2.5))


def test_a_host_has_less_patience_with_each_source_that_it_could_not_give_until_it_answers() -> None:
    hosts = HostPatience(RetryPolicy(patience_s=60))
    found = []
    for _ in range(4):
        policy = hosts.policy("http://dead")
        found.append((policy.patience_s, policy.fewest_tries))
        hosts.failed("http://dead")
    assert found == [(60, 3), (30, 1), (15, 1), (7.5, 1)]
    assert hosts.policy("http://other") == RetryPolicy(patience_s=60)
    hosts.answered("http://dead")
    assert hosts.policy("http://dead") == RetryPolicy(patience_s=60)
