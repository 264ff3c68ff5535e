"""README.md's tables are what scripts/readme_tables.py writes, and what it writes is complete."""

import difflib
import re

import pytest

import jobs.benchmark.__main__
import jobs.evaluate.__main__
import jobs.report.__main__
import jobs.separate.__main__
import jobs.verify.__main__
import separation.__main__
from jobs.pipeline import schema
from scripts import readme_tables

PARSERS = [
    module.parser()
    for module in (
        jobs.benchmark.__main__,
        jobs.evaluate.__main__,
        jobs.report.__main__,
        jobs.separate.__main__,
        jobs.verify.__main__,
        separation.__main__,
    )
]
OTHERS = {"--runtime-env-json", "--musdb"}  # of `ray job submit`, and of `band`
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


def test_every_option_that_the_text_names_is_one() -> None:
    """Of the job's programs, from the section of their options on."""
    known = {option for parser in PARSERS for option in parser._option_string_actions}
    text = README.partition("## Options")[2]
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text)) <= known | OTHERS
