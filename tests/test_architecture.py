"""docs/architecture.md names files that exist, and answers its ten questions."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text()


def test_every_path_that_it_names_exists() -> None:
    named = re.findall(r"`((?:separation|jobs|export|tests|band|stemfleet|docs)/[\w./-]*)`", PAGE)
    assert len(named) > 25
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_ten_questions_have_an_answer_each() -> None:
    rows = re.findall(r"^\| ([^|]+\?) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 10
    assert all("`" in answer for _, answer, _ in rows)


def test_every_package_has_its_line() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages == set(re.findall(r"^\| `(\w+)/` \|", PAGE, re.MULTILINE))
