"""docs/architecture.md names files that exist, and answers its ten questions; no room is too full."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/architecture.md").read_text()
MOST_LINES, MOST_FILES = 300, 16  # of a Python file, and Python files of a folder


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


def test_no_file_and_no_folder_is_too_large() -> None:
    packages = [path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"]
    files = [path for folder in (*packages, ROOT / "scripts") for path in folder.rglob("*.py")]
    assert len(files) > 200
    assert [path for path in files if len(path.read_text().splitlines()) > MOST_LINES] == []
    folders = Counter(path.parent for path in files)
    assert {folder: count for folder, count in folders.items() if count > MOST_FILES} == {}
