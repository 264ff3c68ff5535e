"""What happens when a store throttles, breaks connections or does not answer: tried again, up to a limit.

Two things lie below and stay as they are: botocore's own tries of each request (filesystems.py), and
the table of errors that says what is worth another try (errors.py).
"""

import logging
import os
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TypeVar

from separation.errors import StorageError
from separation.store.errors import DamagedRead, Interrupted

PATIENCE_VARIABLE = "STEMFLEET_STORE_PATIENCE_S"

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long and how often one operation is tried again."""

    patience_s: float = 300.0  # from its first failure: usually longer than what a store calls an incident
    fewest_tries: int = 3  # of an operation that takes longer than the patience
    damaged_tries: int = 6  # at once: waiting heals no store that hands out wrong bytes
    first_pause_s: float = 0.5
    longest_pause_s: float = 20.0

    @classmethod
    def from_environment(cls) -> "RetryPolicy":
        """The patience that `STEMFLEET_STORE_PATIENCE_S` gives, in seconds, or the default."""
        given = os.environ.get(PATIENCE_VARIABLE, "")
        try:
            return cls(patience_s=float(given)) if given else cls()
        except ValueError:
            raise StorageError(PATIENCE_VARIABLE, f"{given!r} is no number of seconds") from None

    def pause_s(self, failures: int, waited_s: float) -> float:
        """Seconds until the next try: drawn between nothing and a bound that doubles with each failure.

        This is AWS's "full jitter": workers that failed together come back apart. The last pause ends with
        the patience.
        """
        bound = min(self.longest_pause_s, self.first_pause_s * 2 ** (failures - 1))
        return min(random.uniform(0, bound), max(0.1, self.patience_s - waited_s))


class HostPatience:
    """How long this process tries each source again, by its host.

    A host that could not give a source is tried for half as long for the next one, and so on, down to one
    try; an answer restores its patience. So the many tracks of a dead server do not hold up the others, and
    a disturbance that passes costs few.
    """

    def __init__(self, policy: RetryPolicy):
        self._policy = policy
        self._left_s: dict[str, float] = {}

    def policy(self, host: str) -> RetryPolicy:
        left_s = self._left_s.get(host)
        return self._policy if left_s is None else replace(self._policy, patience_s=left_s, fewest_tries=1)

    def failed(self, host: str) -> None:
        self._left_s[host] = self._left_s.get(host, self._policy.patience_s) / 2

    def answered(self, host: str) -> None:
        self._left_s.pop(host, None)


def call(
    uri: str,
    operation: Callable[[], T],
    errors: Callable[[str], AbstractContextManager[None]],
    policy: RetryPolicy,
) -> T:
    """What `operation` returns: one operation on the store of `uri`, tried again each time it is Interrupted.

    `errors` is `object_errors` or `store_errors`: whom a failure belongs to. Raises StorageError with the
    last reason once the patience is over. It counts from the first failure, not from the call's beginning,
    so that an upload of an hour is tried again too.
    """
    failures, damaged, since = 0, 0, 0.0
    while True:
        try:
            with errors(uri):
                return operation()
        except DamagedRead as error:
            damaged += 1
            if damaged >= policy.damaged_tries:
                raise StorageError(error.uri, f"{error.reason} ({damaged} times)") from error
        except Interrupted as error:
            failures += 1
            since = since or time.monotonic()
            waited = time.monotonic() - since
            if failures >= policy.fewest_tries and waited >= policy.patience_s:
                tried = f"{failures} tries in {waited:.0f} s"
                raise StorageError(error.uri, f"{error.reason} ({tried})") from error
            log.warning("%s; trying again, %.0f s at most", error, max(0.0, policy.patience_s - waited))
            time.sleep(policy.pause_s(failures, waited))
