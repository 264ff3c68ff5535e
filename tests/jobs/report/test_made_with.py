"""What a report says of models, options and command; run.json may be somebody else's."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline import job_request
from jobs.pipeline.output.run_record import RunRecord
from jobs.report import run as report
from jobs.report.made_with import command, describe
from separation import program
from separation.settings import Settings
from tests.outputs import HOSTILE, finished_rows, write_record, write_tables
from tests.stores import STORE

SETTINGS: dict[str, Any] = {
    "models": {"drums": "ab" * 32, "instrumental": "mix - vocals"},
    "precision": "fp32",
    "engine": "cpu",
    "options": {"overlap": 0.5, "format": "wav", "shifts": 2},
}


def test_a_command_is_the_one_that_was_given() -> None:
    """As argparse had it; what is at its default is left out, and 0 is no default of `--verify-writes`."""
    parser = program.Parser()
    for name in ("--input", "--output", "--models"):
        parser.add_argument(name)
    parser.add_argument("--force", action="store_true")
    job_request.add_arguments(parser)
    given = (
        "--input 's3://music/my songs/' --output s3://out --models demo --force --two-stems vocals "
        "--int24 --verify-writes 0.0 --turns 0"
    )
    arguments = vars(parser.parse_args([*shlex.split(given), "--shifts", "0"]))
    said = command(arguments)
    assert shlex.split(said)[:3] == ["python", "-m", "jobs.separate"]
    assert vars(parser.parse_args(shlex.split(said)[3:])) == arguments
    assert sorted(shlex.split(said)[3:]) == sorted(shlex.split(given))
    assert command({}) == ""


def test_a_command_that_is_copied_runs_nothing_else() -> None:
    said = command({"input": "a; rm -rf $HOME `id`", "x; reboot": "y", "-x": "z", "price": 1.5})
    assert said == "python -m jobs.separate --input 'a; rm -rf $HOME `id`' --price 1.5"


def test_models_and_options_are_those_of_the_settings() -> None:
    record = RunRecord(settings=Settings(**SETTINGS), arguments={"models": "s3://models/"})
    assert describe(record) == [
        ("models", "s3://models/"),
        ("stems", f"drums ({'ab' * 6}), instrumental (mix - vocals)"),
        ("precision", "fp32"),
        ("engine", "cpu"),
        ("options", "overlap 0.5, shifts 2"),
    ]
    assert describe(RunRecord()) == describe(None) == []
    usual = Settings(models={"drums": "x"}, options={"overlap": 0.25, "shifts": 0})
    assert ("options", "all at their defaults") in describe(RunRecord(settings=usual))


@pytest.mark.parametrize("form", ["html", "md"])
def test_it_is_shown(tmp_path: Path, form: str) -> None:
    write_tables(tmp_path, "r1", finished_rows(5))
    arguments = {"input": HOSTILE[0], "output": "a|b", "models": HOSTILE[1]}
    write_record(tmp_path, settings=SETTINGS, arguments=arguments)
    text = report.report(str(tmp_path), form, STORE).replace("\\", "")
    assert "Made with" in text
    assert "overlap 0.5, shifts 2" in text
    assert "python -m jobs.separate --input" in text
    assert HOSTILE[0] not in text and "<script" not in text
