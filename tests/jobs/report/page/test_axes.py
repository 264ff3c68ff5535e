"""Ticks: round values, and moments that are where they say."""

from datetime import UTC, datetime, timedelta

import pytest

from jobs.report.page.axes import MOMENTS, length_ticks, moment_ticks, nice_ticks
from jobs.report.timeline import Bin

BEGAN = datetime(2026, 11, 20, 23, 17, 30, tzinfo=UTC)


def bins(*runs: tuple[datetime, float]) -> list[Bin]:
    """Two bins of each run, which began at a moment and took so many seconds."""
    found, position_s = [], 0.0
    for number, (began, wall_s) in enumerate(runs):
        for half in range(2):
            at = began + timedelta(seconds=half * wall_s / 2)
            found.append(Bin(number, at, position_s + half * wall_s / 2, wall_s / 2, 1, 0, 1.0))
        position_s += wall_s
    return found


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [(0.0, [0, 1]), (1.0, [0, 0.5, 1]), (57.0, [0, 20, 40, 60]), (0.031, [0, 0.01, 0.02, 0.03, 0.04])],
)
def test_values(highest: float, ticks: list[float]) -> None:
    assert nice_ticks(highest) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("wall_s", "labels"),
    [
        (0.4, []),
        (30.0, ["23:17:35", "23:17:40", "23:17:45", "23:17:50", "23:17:55"]),
        (3_000.0, ["23:20", "23:30", "23:40", "23:50", "00:00"]),
        (400_000.0, ["11-22", "11-23", "11-24", "11-25"]),
        (3e9, None),
    ],
)
def test_moments_are_round_and_where_they_are(wall_s: float, labels: list[str] | None) -> None:
    ticks = moment_ticks(bins((BEGAN, wall_s)))
    assert labels is None or [tick.label for tick in ticks] == labels
    assert len(ticks) <= MOMENTS + 1
    if wall_s == 3_000.0:
        assert [tick.below for tick in ticks] == ["11-20", "", "", "", "11-21"]
        assert ticks[0].share == pytest.approx(150 / wall_s)


def test_a_pause_takes_no_room_and_labels_keep_apart() -> None:
    """The second run begins at 900 s of 2,400, ten seconds before a label that would touch the one before."""
    ticks = moment_ticks(bins((BEGAN, 900.0), (BEGAN + timedelta(days=3, seconds=740), 1_500.0)))
    assert [(tick.label, tick.below) for tick in ticks] == [
        ("23:20", "11-20"),
        ("23:25", ""),
        ("23:30", ""),
        ("23:35", "11-23"),
        ("23:40", "11-23"),  # the one before is not there on a narrow page
        ("23:45", ""),
        ("23:50", ""),
    ]
    assert ticks[3].share == pytest.approx((900 + 310) / 2_400)


def test_positions_in_a_track() -> None:
    assert [tick.label for tick in length_ticks(200.0)] == ["0:30", "1:00", "1:30", "2:00", "2:30", "3:00"]
    assert [tick.label for tick in length_ticks(7_300.0)][-1] == "1:30:00"
    assert length_ticks(0.5) == length_ticks(0.0) == []
