"""Programs share only jobs/pipeline: none imports another, and the pipeline imports none."""

import ast
from pathlib import Path

import pytest

PROGRAMS = sorted(path.parent.name for path in Path("jobs").glob("*/__main__.py"))


def imported(folder: Path) -> set[str]:
    """The modules below `jobs` that the Python files of `folder` name in an import, anywhere in them."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("jobs.")}


@pytest.mark.parametrize("room", [*PROGRAMS, "pipeline"])
def test_a_program_is_imported_by_itself_alone(room: str) -> None:
    assert {"separate", "report", "verify", "evaluate", "benchmark"} <= set(PROGRAMS)
    rooms = {name.split(".")[1] for name in imported(Path("jobs") / room)}
    assert rooms <= {room, "pipeline"}
