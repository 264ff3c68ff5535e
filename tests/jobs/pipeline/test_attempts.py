import pyarrow as pa
import pytest

from jobs.pipeline import attempts
from jobs.pipeline.arrow import schema_of
from jobs.pipeline.attempts import TRIES, Attempts
from jobs.pipeline.records import TrackChunk


class Died(BaseException):
    """As if the process had: nothing is ended."""


class Log:
    """`Attempts` as a process on `node` sees it."""

    def __init__(self) -> None:
        self.living = {"a", "b"}
        self.node = "a"
        self.attempts = Attempts(lambda: self.living)
        self.dead = False

    def begin(self, attempt: str, work: list[str]) -> list[int]:
        self.dead = False
        return self.attempts.begin(attempt, work, self.node)

    def end(self, attempt: str, work: list[str]) -> None:
        if not self.dead:
            self.attempts.end(attempt, work)


def chunks(*tracks: str) -> pa.Table:
    rows = [
        {"track_id": track, "uri": f"s3://b/{track}", "index": 0, "chunk": chunk}
        for track in tracks
        for chunk in range(2)
    ]
    return pa.Table.from_pylist(rows, schema_of(TrackChunk))


def until_it_lives(log: Log, table: pa.Table, poison: set[str]) -> tuple[pa.Table, int]:
    """What Ray does: the call again until it ends; and how many processes died."""
    deaths = 0

    def step(part: pa.Table) -> pa.Table:
        if {row["track_id"] for row in part.to_pylist() if row["error"] is None} & poison:
            log.dead = True
            raise Died
        return part

    while True:
        try:
            return attempts.guard(table, "cut", log, step), deaths
        except Died:
            deaths += 1


def statuses(table: pa.Table) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in table.to_pylist():
        found.setdefault(row["track_id"], set()).add("error" if row["error"] else "ok")
    return found


def test_a_track_that_kills_is_an_error_after_its_tries() -> None:
    done, deaths = until_it_lives(Log(), chunks("x"), {"x"})
    assert deaths == TRIES
    assert statuses(done) == {"x": {"error"}}
    row = done.to_pylist()[0]
    assert (row["error_kind"], row["error"]) == ("crashed", "the process died 3 times: at each try to cut it")
    assert done.schema == schema_of(TrackChunk)


@pytest.mark.parametrize("order", ["xab", "axb", "abx", "xay", "yxa"])
def test_it_does_not_take_its_neighbours_along(order: str) -> None:
    done, deaths = until_it_lives(Log(), chunks(*order), {"x", "y"})
    expected = {track: {"error" if track in "xy" else "ok"} for track in order}
    assert statuses(done) == expected
    assert [row["chunk"] for row in done.to_pylist()] == [0, 1] * 3
    assert deaths <= 2 * TRIES


def test_a_death_with_its_node_does_not_count() -> None:
    log = Log()
    table = chunks("x")

    def step(part: pa.Table) -> pa.Table:
        log.dead = True
        raise Died

    for lost in range(5 * TRIES):
        log.node = f"lost {lost}"
        log.living.add(log.node)
        with pytest.raises(Died):
            attempts.guard(table, "cut", log, step)
        log.living.remove(log.node)
    log.node = "a"
    done, deaths = until_it_lives(log, table, set())
    assert (statuses(done), deaths) == ({"x": {"ok"}}, 0)


def test_an_exception_is_no_death() -> None:
    log = Log()

    def step(part: pa.Table) -> pa.Table:
        raise OSError("no store")

    for _ in range(TRIES + 1):
        with pytest.raises(OSError, match="no store"):
            attempts.guard(chunks("x"), "cut", log, step)
    assert statuses(until_it_lives(log, chunks("x"), set())[0]) == {"x": {"ok"}}


def test_what_has_ended_is_forgotten() -> None:
    log = Log()
    until_it_lives(log, chunks("x", "y"), set())
    assert not log.attempts._open
