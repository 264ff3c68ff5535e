"""Writes the tables of README.md from the code: options, columns, kinds of error and of problem.

    python scripts/readme_tables.py            # writes them
    python scripts/readme_tables.py --check    # fails, with a diff, where README.md says something else

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; what is between them is written here. Its
sentences stand in the code, beside what they describe.
"""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jobs.benchmark.__main__
import jobs.evaluate.__main__
import jobs.report.__main__
import jobs.separate.__main__
import jobs.verify.__main__
from jobs.pipeline import schema
from jobs.verify.problems import Kind as Problem
from separation.errors import ErrorKind, WarningKind
from separation.store.disk.private_folder import default_cache

README = Path(__file__).resolve().parents[1] / "README.md"
PLACE = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end -->\n)", re.DOTALL)
OF_EVERY_PROGRAM = {"--help", "--version", "--quiet", "--verbose"}
DEFAULT = re.compile(r"^(.*?),? ?\(default: (.*?)\)(.*)$", re.DOTALL)

Cells = Iterable[Sequence[str]]


def options(parser: argparse.ArgumentParser, but: argparse.ArgumentParser | None = None) -> Cells:
    """A row per option: how it is given, its help, and its default if the help ends with one.

    Without those that every program has, and those of `but`.
    """
    left_out = OF_EVERY_PROGRAM.union(*(meanings(but) if but else ()))
    formatter = argparse.HelpFormatter(parser.prog)
    yield "option", "meaning", "default"
    for action in parser._actions:
        if not action.option_strings or meaning(action) in left_out or left_out & {*action.option_strings}:
            continue
        words = [action.option_strings[-1]]
        if action.nargs != 0:
            words.append(formatter._format_args(action, formatter._get_default_metavar_for_optional(action)))
        text = meaning(action).partition(" ")[2]
        found = DEFAULT.match(text)
        said, default = (found[1] + found[3], found[2]) if found else (text, "")
        yield f"`{' '.join(words)}`", "required: " * action.required + said, f"`{default}`" * bool(default)


def meanings(parser: argparse.ArgumentParser) -> Iterable[set[str]]:
    return ({meaning(action)} for action in parser._actions)


def meaning(action: argparse.Action) -> str:
    """An option with its help, as `--help` shows it; the same for every user."""
    text = argparse.HelpFormatter("")._expand_help(action) if action.help else ""
    return f"{action.option_strings[-1:]} {text.replace(str(default_cache()), '$TMPDIR/stemfleet-UID')}"


def columns(table: str) -> Cells:
    """A row per line of `schema.MEANINGS`, which has every column once."""
    yield f"`{table}`", ""
    for names, text in schema.MEANINGS[table]:
        yield ", ".join(f"`{name}`" for name in names.split()), text


def kinds(title: str, of: Iterable[ErrorKind | WarningKind | Problem]) -> Cells:
    yield f"`{title}`", ""
    for kind in of:
        yield f"`{kind}`", kind.meaning


TABLES: dict[str, Callable[[], Cells]] = {
    "options of jobs.separate": lambda: options(jobs.separate.__main__.parser()),
    "options of jobs.report": lambda: options(jobs.report.__main__.parser()),
    "options of jobs.verify": lambda: options(jobs.verify.__main__.parser()),
    "options of jobs.benchmark": lambda: options(
        jobs.benchmark.__main__.parser(), but=jobs.separate.__main__.parser()
    ),
    "options of jobs.evaluate": lambda: options(jobs.evaluate.__main__.parser()),
    "tracks": lambda: columns("tracks"),
    "timings": lambda: columns("timings"),
    "error_kind": lambda: kinds("error_kind", ErrorKind),
    "warnings": lambda: kinds("warnings", WarningKind),
    "problems": lambda: kinds("kind", Problem),
}


def table(name: str) -> str:
    """The table in Markdown; a last column without a cell is left out."""
    rows = [[cell.replace("|", r"\|") for cell in row] for row in TABLES[name]()]
    while not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    lines = [" | ".join(row) for row in rows]
    lines.insert(1, "---|" * len(rows[0]))
    return "".join(f"| {line} |\n" if number != 1 else f"|{line}\n" for number, line in enumerate(lines))


def written(text: str) -> str:
    """README's text with its tables written anew; raises `KeyError` for a table that there is not."""
    return PLACE.sub(lambda place: f"{place[1]}{table(place[2])}{place[3]}", text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 and a diff if stale")
    check = parser.parse_args(arguments).check
    before = README.read_text()
    after = written(before)
    if missing := TABLES.keys() - {place[2] for place in PLACE.finditer(before)}:
        print(f"README.md has no place for: {', '.join(sorted(missing))}")
        return 1
    if not check:
        README.write_text(after)
    elif after != before:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(old, new, "README.md", "README.md from the code"))
        print("README.md is stale: make readme")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
