"""The README says what the programs do."""

import re
from pathlib import Path

import pytest

import jobs.benchmark.__main__
import jobs.evaluate.__main__
import jobs.report.__main__
import jobs.separate.__main__
import jobs.verify.__main__
import separation.__main__
from jobs.pipeline import schema
from jobs.verify.problems import Kind as Problem
from separation.errors import ErrorKind, WarningKind
from separation.program import COMMON_OPTIONS

README = Path("README.md").read_text()


@pytest.mark.parametrize("parser", [jobs.separate.__main__.parser(), separation.__main__.parser()])
def test_every_documented_option_exists(parser) -> None:  # type: ignore[no-untyped-def]
    table = README.partition("## Options")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`(--[a-z0-9-]+)", table))
    assert {"--stems", "--clip-mode"} <= documented
    assert documented <= set(parser._option_string_actions)


def test_every_documented_option_of_the_report_exists() -> None:
    section = README.partition("## A report")[2].partition("\n## ")[0]
    documented = set(re.findall(r"(--[a-z][a-z-]+)", section))
    assert documented == set(jobs.report.__main__.parser()._option_string_actions) - COMMON_OPTIONS


def test_every_option_and_problem_of_verify_is_documented() -> None:
    section = README.partition("## Is all of it right?")[2].partition("\n## ")[0]
    documented = set(re.findall(r"--[a-z][a-z-]+", section))
    assert documented == set(jobs.verify.__main__.parser()._option_string_actions) - COMMON_OPTIONS
    kinds = section.partition("Kinds of problem:")[2].partition(". Only")[0]
    assert set(re.findall(r"`([a-z_]+)`", kinds)) == {str(kind) for kind in Problem}


def test_every_option_of_the_benchmark_is_one() -> None:
    section = README.partition("## What an hour of music costs")[2].partition("\n## ")[0]
    documented = set(re.findall(r"--[a-z][a-z0-9-]+", section))
    known = {
        *jobs.benchmark.__main__.parser()._option_string_actions,
        *jobs.separate.__main__.parser()._option_string_actions,
    }
    assert {"--compare", "--sweep", "--project", "--benchmark"} <= documented <= known


def test_every_option_of_the_evaluation_is_documented() -> None:
    section = README.partition("## How well it separates")[2].partition("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("| `"))
    documented = set(re.findall(r"^\| `(--[a-z-]+)", table, re.MULTILINE))
    assert documented == set(jobs.evaluate.__main__.parser()._option_string_actions) - COMMON_OPTIONS


@pytest.mark.parametrize(("table", "columns"), [("tracks", schema.TRACKS), ("timings", schema.TIMINGS)])
def test_every_column_is_documented(table: str, columns) -> None:  # type: ignore[no-untyped-def]
    rows = README.partition(f"| `{table}` | |")[2].partition("\n\n")[0]
    first_cells = [row.split("|")[1] for row in rows.splitlines() if row.startswith("| `")]
    assert set(columns.names) == set(re.findall(r"`([a-z0-9_]+)`", " ".join(first_cells)))


@pytest.mark.parametrize(("column", "kinds"), [("error_kind", ErrorKind), ("warnings", WarningKind)])
def test_the_table_of_kinds_is_the_code_s(column: str, kinds) -> None:  # type: ignore[no-untyped-def]
    table = README.partition(f"| `{column}` | |\n|---|---|\n")[2].partition("\n\n")[0]
    assert table.splitlines() == [f"| `{kind}` | {kind.meaning} |" for kind in kinds]
