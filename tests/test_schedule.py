"""The row of tests/schedule.py: which process takes which module."""

from pathlib import Path

import pytest

pytest.importorskip("xdist")
from tests.schedule import COMPUTING, WAITING, place

ROOT = Path(__file__).resolve().parents[1]


def test_every_module_of_the_row_is_there() -> None:
    assert [module for module in (*WAITING, *COMPUTING) if not (ROOT / module).is_file()] == []


def test_what_waits_comes_first_and_what_computes_last() -> None:
    row = sorted(("tests/other.py", *reversed(COMPUTING), *reversed(WAITING)), key=place)
    assert row == [*WAITING, "tests/other.py", *reversed(COMPUTING)]
