"""Trying again: a store that is disturbed for a while is waited for, one that stays so ends the job."""

import logging
import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

from separation.errors import StorageError
from separation.store.filesystems import DamagedRead, Interrupted

PATIENCE_VARIABLE = "STEMFLEET_STORE_PATIENCE_S"
PATIENCE_S = 300.0  # from the first failure of a call: longer than what a store calls an incident, usually
FEWEST_TRIES = 3  # of a call that takes longer than the patience
DAMAGED_TRIES = 6  # at once: waiting heals no store that hands out wrong bytes
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 20.0

log = logging.getLogger(__name__)
T = TypeVar("T")


def patience_s() -> float:
    """Seconds, of this process: `STEMFLEET_STORE_PATIENCE_S` or 300."""
    given = os.environ.get(PATIENCE_VARIABLE, "")
    try:
        return float(given) if given else PATIENCE_S
    except ValueError:
        raise StorageError(PATIENCE_VARIABLE, f"{given!r} is no number of seconds") from None


def patiently(attempt: Callable[[], T]) -> T:
    """What `attempt` returns, which is called again each time that it raises `Interrupted`.

    Raises StorageError with the last reason once the patience is over. It counts from the first failure,
    not from the call's beginning, so that an upload of an hour is tried again too. Pauses are drawn
    between nothing and a bound that doubles (AWS's "full jitter"): workers that failed together come
    back apart.
    """
    patience, failures, damaged, since = patience_s(), 0, 0, 0.0
    while True:
        try:
            return attempt()
        except DamagedRead as error:
            damaged += 1
            if damaged >= DAMAGED_TRIES:
                raise StorageError(error.uri, f"{error.reason} ({damaged} times)") from error
        except Interrupted as error:
            failures += 1
            since = since or time.monotonic()
            waited = time.monotonic() - since
            if failures >= FEWEST_TRIES and waited >= patience:
                tried = f"{failures} tries in {waited:.0f} s"
                raise StorageError(error.uri, f"{error.reason} ({tried})") from error
            log.warning("%s; trying again, %.0f s at most", error, max(0.0, patience - waited))
            bound = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1))
            time.sleep(min(random.uniform(0, bound), max(0.1, patience - waited)))
