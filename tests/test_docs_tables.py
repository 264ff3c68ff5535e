"""The tables of docs/ are what scripts/docs_tables.py writes, and what it writes is complete."""

import argparse
import re
from collections.abc import Iterable

import pytest

import jobs.separate.__main__
import separation.__main__
from jobs.evaluate import scoring
from jobs.pipeline import schema
from jobs.pipeline.output import run_record
from scripts import docs_tables
from separation.program import COMMON_OPTIONS

OPTIONS = docs_tables.options_of_all()


def test_the_check_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert docs_tables.main(["--check"]) == 0, capsys.readouterr().out


def test_the_check_finds_what_is_stale_and_what_has_no_place(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(docs_tables, "DOCS", tmp_path)
    (tmp_path / "page.md").write_text("<!-- table: options -->\nold\n<!-- end -->\n")
    assert docs_tables.main(["--check"]) == 1
    assert "tracks, timings" in capsys.readouterr().out
    places = "".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in docs_tables.TABLES)
    (tmp_path / "page.md").write_text(places)
    assert docs_tables.main(["--check"]) == 1
    assert "+| `truncated` |" in capsys.readouterr().out
    assert docs_tables.main([]) == docs_tables.main(["--check"]) == 0


@pytest.mark.parametrize("command", docs_tables.programs())
def test_every_option_of_a_program_stands_in_its_section(command: str) -> None:
    (section,) = re.findall(rf"^## {command}\n(.*?)(?=^## |\Z)", OPTIONS, re.MULTILINE | re.DOTALL)
    _, parser = docs_tables.programs()[command]
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            names = {*action.option_strings} or {action.metavar}
            assert names & COMMON_OPTIONS or any(f"`{name}" in section for name in names), names


def test_a_required_option_stands_in_each_section() -> None:
    assert OPTIONS.count("| `--models DIR` | required: ") == 1
    assert OPTIONS.count("| `--out DIR` | required: the model folder") >= 2


@pytest.mark.parametrize(
    ("meanings", "names"),
    [
        (schema.MEANINGS["tracks"], schema.TRACKS.names),
        (schema.MEANINGS["timings"], schema.TIMINGS.names),
        (scoring.MEANINGS, scoring.SCORES.names),
        (run_record.MEANINGS, run_record.RunRecord.__struct_fields__),
    ],
    ids=["tracks", "timings", "scores", "run.json"],
)
def test_every_column_and_key_has_a_meaning_once(
    meanings: Iterable[tuple[str, str]], names: Iterable[str]
) -> None:
    assert sorted(name for line, text in meanings if text for name in line.split()) == sorted(names)


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
