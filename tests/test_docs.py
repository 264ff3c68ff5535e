"""README and docs/: the commands are those of the programs, and what they name is there.

Links are for `mkdocs build --strict` to check (`make docs`).
"""

import argparse
import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import duckdb
import pytest
from markdown_it import MarkdownIt
from ray.dashboard.modules.job.cli import submit

import export.__main__
from scripts import docs_tables
from tests.outputs import finished_rows, write_tables

ROOT = Path(__file__).parents[1]
DATED = ("docs/decisions.md", "CHANGELOG.md")  # they tell of what was
PAGES = {
    name: path.read_text()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "cluster/README.md"]
    if (name := str(path.relative_to(ROOT))) not in DATED
}
PARSERS: dict[str, argparse.ArgumentParser] = {
    name: parser for command, (python, parser) in docs_tables.programs().items() for name in (command, python)
}
OF_OTHERS = {"--runtime-env-json", "--gpus", "--shm-size"}  # options of `ray job submit` and `docker run`


COMMAND = re.compile(r"(?:\S*bin/)?(stemfleet (?=[a-z])|python -m (?:band|export|jobs|separation)\b)")


def blocks(page: str, language: str) -> list[str]:
    """The page's blocks of code of a language; "" for indented ones."""
    tokens = [token for token in MarkdownIt().parse(PAGES[page]) if token.type in ("fence", "code_block")]
    return [token.content for token in tokens if token.info.partition(" ")[0] == language]


def commands(page: str) -> list[str]:
    """The lines of a page's shell blocks, continued ones joined."""
    text = "".join([*blocks(page, "sh"), *blocks(page, "")]).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines()]


def of_programs(page: str) -> list[list[str]]:
    """Words of the page's commands that run one of the programs, from its name on."""
    found = []
    for line in commands(page):
        entrypoint = line.rpartition(" -- ")[2]
        if match := COMMAND.match(entrypoint):
            found.append(shlex.split(entrypoint[match.start(1) :], comments=True))
    return found


ALL = {f"{page}: {shlex.join(words)}": words for page in PAGES for words in of_programs(page)}


@pytest.mark.parametrize("words", ALL.values(), ids=ALL)
def test_a_command_is_one_of_its_program(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    length = 2 if words[0] == "stemfleet" else 3
    parser, arguments = PARSERS[" ".join(words[:length])], words[length:]
    if words[length - 1] == "export":
        arguments = export.__main__.with_command(arguments)
    try:
        parser.parse_args(arguments)
    except SystemExit as exit_:
        assert exit_.code == 0, capsys.readouterr().err


def test_there_are_commands_of_every_program() -> None:
    assert {page for page in PAGES if of_programs(page)} >= {"README.md", "docs/quickstart.md", "docs/aws.md"}
    assert len(of_programs("README.md")) >= 9 and len(of_programs("docs/quickstart.md")) >= 9
    named = {" ".join(words[:2]) for words in ALL.values() if words[0] == "stemfleet"}
    assert named == {name for name in docs_tables.programs() if re.fullmatch(r"stemfleet \w+", name)}


def test_what_submits_a_job_has_options_of_ray() -> None:
    options = {name for parameter in submit.params for name in parameter.opts}
    submits = [line for page in PAGES for line in commands(page) if line.startswith("ray job submit")]
    assert len(submits) >= 6 and any("--dry-run" in line for line in submits)
    for line in submits:
        ray, _, entrypoint = line.partition(" -- ")
        assert {word for word in shlex.split(ray) if word.startswith("--")} <= options
        assert entrypoint.strip().startswith("python -m jobs.separate ")


def test_targets_and_extras_exist() -> None:
    lines = [line for page in PAGES for line in commands(page)] + [*PAGES.values()]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = set(re.findall(r"(?:^|`)make ([a-z-]+)", "\n".join(lines), re.MULTILINE))
    assert {"demo", "setup", "gpu-check"} <= made <= targets
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    used = {extra for text in re.findall(r"'\.\[([a-z,]+)\]'", "\n".join(lines)) for extra in text.split(",")}
    assert {"cpu", "cluster", "export"} <= used <= set(extras)


def test_scripts_exist() -> None:
    named = set(re.findall(r"\bscripts/\w+\.py", "\n".join(PAGES.values())))
    assert len(named) >= 3
    assert [name for name in named if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("page", PAGES)
def test_blocks_of_code_are_of_a_language_that_the_site_knows(page: str) -> None:
    """It takes a fence with more words than that as text."""
    fences = [token.info for token in MarkdownIt().parse(PAGES[page]) if token.type == "fence"]
    assert set(fences) <= {"", "json", "python", "sh", "sql"}


@pytest.mark.parametrize("page", PAGES)
def test_python_compiles(page: str) -> None:
    for block in blocks(page, "python"):
        compile(block, page, "exec")


def test_every_option_that_a_text_names_is_one() -> None:
    """But for pages that name options of demucs, of AWS and of others."""
    known = {option for parser in PARSERS.values() for option in parser._option_string_actions} | OF_OTHERS
    apart = {f"docs/{name}.md" for name in ("from-demucs", "aws", "kubernetes", "operations", "local")}
    pages = [PAGES[page] for page in PAGES if page.startswith("docs/") and page not in apart]
    tokens = [token for page in pages for token in MarkdownIt().parse(page)]
    text = "\n".join(token.content for token in tokens if token.type == "inline")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text))
    assert len(named) > 60
    assert named - known == set()


def test_every_option_of_demucs_has_its_row() -> None:
    """Read in its source: to import it takes seconds."""
    (folder,) = importlib.util.find_spec("demucs").submodule_search_locations  # type: ignore[union-attr, misc]
    source = "".join((Path(folder) / name).read_text() for name in ("separate.py", "pretrained.py"))
    options = set(re.findall(r"add_argument\((?:\"-\w\",\s*)?\"(--[a-z0-9-]+)\"", source))
    assert len(options) > 20
    rows = re.findall(r"^\| (`[^|]+) \|", PAGES["docs/from-demucs.md"], re.MULTILINE)
    named = {option for row in rows for option in re.findall(r"`([^`]+)`", row)}
    assert {option for option in named if option.startswith("--")} == options


def test_the_messages_of_troubleshooting_are_those_of_the_code() -> None:
    before, _, _ = PAGES["docs/troubleshooting.md"].partition("## It runs")
    messages = re.findall(r"^\| `([^`]+)` \|", before, re.MULTILINE)
    assert len(messages) > 10
    files = [path for folder in ("separation", "jobs") for path in (ROOT / folder).rglob("*.py")]
    code = re.sub(r'"\n\s*f?"', "", "\n".join(path.read_text() for path in files))
    assert [message for message in messages if message not in code] == []


def test_readme_is_short_and_its_picture_small() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 130
    picture = (ROOT / "docs/report.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) < 300_000


def test_the_queries_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = blocks("docs/output.md", "sql")
    assert len(queries) == 10
    assert blocks("README.md", "sql") == queries[:1]
    rows = finished_rows(40)
    rows[0] |= {"warnings": ["downmix"], "clip_factor": 0.9}
    for row in rows[:2]:
        row |= {"source_etag": "same", "source_bytes": 1_000}
    write_tables(tmp_path, "run", rows)
    monkeypatch.chdir(tmp_path)
    for query in queries:
        answer = duckdb.sql(query)
        assert "COPY" in query or answer.fetchall(), query
    assert (tmp_path / "retry.csv").read_text().startswith("track_id,uri\n")
