"""README.md's tables are what scripts/readme_tables.py writes, and what it writes is complete."""

import difflib

import pytest

import jobs.separate.__main__
import separation.__main__
from jobs.pipeline import schema
from scripts import readme_tables

README = readme_tables.README.read_text()


@pytest.mark.parametrize("name", readme_tables.TABLES)
def test_a_table_is_that_of_the_code(name: str) -> None:
    (found,) = [place[0] for place in readme_tables.PLACE.finditer(README) if place[2] == name]
    written = readme_tables.written(found)
    assert found == written, "\n".join(difflib.ndiff(found.splitlines(), written.splitlines()))
    assert found.count("\n") > 4


def test_the_check_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert readme_tables.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(("table", "columns"), [("tracks", schema.TRACKS), ("timings", schema.TIMINGS)])
def test_every_column_has_a_meaning_once(table: str, columns) -> None:  # type: ignore[no-untyped-def]
    names = [name for line, text in schema.MEANINGS[table] if text for name in line.split()]
    assert sorted(names) == sorted(columns.names)


def test_a_laptop_has_the_options_of_a_cluster_s_separation() -> None:
    of_files = {
        option
        for group in jobs.separate.__main__.parser()._action_groups
        if group.title in ("separation", "limits")
        for action in group._group_actions
        for option in action.option_strings
    }
    assert {"--stems", "--clip-mode", "--max-hours"} <= of_files
    assert of_files | {"--provider"} <= set(separation.__main__.parser()._option_string_actions)
