"""Writes the tables of docs/ from the code: options, columns, kinds of error and of problem.

    python scripts/docs_tables.py            # writes them
    python scripts/docs_tables.py --check    # fails, with a diff, where a page says something else

A table stands on a page of docs/ between `<!-- table: NAME -->` and `<!-- end -->`; what is between them is
written here. Its sentences stand in the code, beside what they describe.
"""

import argparse
import difflib
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from jobs.evaluate import scoring
from jobs.pipeline import schema
from jobs.pipeline.output import run_record
from jobs.verify.problems import Kind as Problem
from separation.errors import ErrorKind, WarningKind
from separation.program import COMMON_OPTIONS
from separation.store.disk.private_folder import default_cache
from stemfleet.__main__ import PROGRAMS

DOCS = Path(__file__).resolve().parents[1] / "docs"
PLACE = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end -->\n)", re.DOTALL)
DEFAULT = re.compile(r"^(.*?),? ?\(default: (.*?)\)(.*)$", re.DOTALL)
# Programs that share options -> the one whose section describes them.
SHARED_WITH = {"stemfleet run": "stemfleet separate", "stemfleet benchmark": "stemfleet run"}
EXPORT = "stemfleet export"  # whose commands share options with its first

Cells = Iterable[Sequence[str]]


def programs() -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """The command line that a user types -> the same as a module of Python, and its parser."""
    modules = {f"stemfleet {name}": program.module for name, program in PROGRAMS.items()}
    modules["python -m export.training"] = "export.training.__main__"
    found = {}
    for command, module in modules.items():
        parser = importlib.import_module(module).parser(command)
        python = f"python -m {module.removesuffix('.__main__')}"
        found[command] = python, parser
        for name, each in subcommands(parser).items():
            found[f"{command} {name}"] = f"{python} {name}", each
    return found


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    chosen = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return {name: each for action in chosen for name, each in action.choices.items()}


def options_of_all() -> str:
    """A section per program: what it does, its exit codes, its options."""
    found = programs()
    first_of_export = next(command for command in found if command.startswith(f"{EXPORT} "))
    parts = []
    for command, (python, parser) in found.items():
        base = SHARED_WITH.get(command, first_of_export if command.startswith(f"{EXPORT} ") else command)
        known = [row(action) for action in own(found[base][1])] if base != command else []
        same = [action for action in own(parser) if row(action) in known and not action.required]
        of_python = f"`{python}`: " if python != command else ""
        parts += [f"## {command}", f"{of_python}{parser.description}", parser.epilog or ""]
        parts.append(as_table(options(action for action in own(parser) if action not in same)))
        if same:
            names = ", ".join(f"`{action.option_strings[-1]}`" for action in same)
            parts.append(f"And, as in [{base}](#{base.replace(' ', '-')}): {names}.")
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def own(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Arguments and options, without those that every program has."""
    return [
        action
        for action in parser._actions
        if not isinstance(action, argparse._SubParsersAction)
        and not COMMON_OPTIONS & {*action.option_strings}
    ]


def options(actions: Iterable[argparse.Action]) -> Cells:
    return [("option", "meaning", "default"), *map(row, actions)]


def row(action: argparse.Action) -> tuple[str, str, str]:
    """How it is given, its help, and its default if the help ends with one; the same for every user."""
    formatter = argparse.HelpFormatter("")
    words = [*action.option_strings[-1:]]
    if action.nargs != 0:
        is_option = bool(action.option_strings)
        metavar = (
            formatter._get_default_metavar_for_optional
            if is_option
            else formatter._get_default_metavar_for_positional
        )
        words.append(formatter._format_args(action, metavar(action)))
    text = formatter._expand_help(action) if action.help else ""
    text = text.replace(str(default_cache()), "$TMPDIR/stemfleet-UID").replace("<", "&lt;")
    found = DEFAULT.match(text)
    said, default = (found[1] + found[3], found[2]) if found else (text, "")
    required = "required: " * (action.required and bool(action.option_strings))
    return f"`{' '.join(words)}`", required + said, f"`{default}`" * bool(default)


def columns(table: str, meanings: Iterable[tuple[str, str]]) -> Cells:
    """A row per line of `meanings`: names of columns, or of keys, that share a sentence."""
    yield f"`{table}`", ""
    for names, text in meanings:
        yield ", ".join(f"`{name}`" for name in names.split()), text


def kinds(title: str, of: Iterable[ErrorKind | WarningKind | Problem]) -> Cells:
    yield f"`{title}`", ""
    for kind in of:
        yield f"`{kind}`", kind.meaning


TABLES: dict[str, Callable[[], str]] = {
    "options": options_of_all,
    "run.json": lambda: as_table(columns("run.json", run_record.MEANINGS)),
    "tracks": lambda: as_table(columns("tracks", schema.MEANINGS["tracks"])),
    "timings": lambda: as_table(columns("timings", schema.MEANINGS["timings"])),
    "scores": lambda: as_table(columns("scores.parquet", scoring.MEANINGS)),
    "error_kind": lambda: as_table(kinds("error_kind", ErrorKind)),
    "warnings": lambda: as_table(kinds("warnings", WarningKind)),
    "problems": lambda: as_table(kinds("kind", Problem)),
}


def as_table(of: Cells) -> str:
    """The table in Markdown; a last column without a cell is left out. Empty without a row."""
    rows = [[cell.replace("|", r"\|") for cell in row] for row in of]
    if len(rows) == 1:
        return ""
    while not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    lines = [" | ".join(row) for row in rows]
    lines.insert(1, "---|" * len(rows[0]))
    return "".join(f"| {line} |\n" if number != 1 else f"|{line}\n" for number, line in enumerate(lines))


def written(text: str) -> str:
    """A page's text with its tables written anew; raises `KeyError` for a table that there is not."""
    return PLACE.sub(lambda place: f"{place[1]}\n{TABLES[place[2]]()}\n{place[3]}", text)


def places() -> dict[str, list[Path]]:
    """Name of a table -> the pages that have a place for it."""
    found: dict[str, list[Path]] = {}
    for page in sorted(DOCS.glob("*.md")):
        for place in PLACE.finditer(page.read_text()):
            found.setdefault(place[2], []).append(page)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 and a diff if stale")
    check = parser.parse_args(arguments).check
    found = places()
    if wrong := [name for name in TABLES if len(found.get(name, [])) != 1]:
        print(f"docs/ should have one place for each table; it has none, or several, for: {', '.join(wrong)}")
        return 1
    is_stale = False
    for page in sorted({page for pages in found.values() for page in pages}):
        before = page.read_text()
        after = written(before)
        name = f"docs/{page.name}"
        if not check:
            page.write_text(after)
        elif after != before:
            old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
            sys.stdout.writelines(difflib.unified_diff(old, new, name, f"{name} from the code"))
            print(f"{name} is stale: make tables")
            is_stale = True
    return int(is_stale)


if __name__ == "__main__":
    sys.exit(main())
