"""What both formats of bag.json check: names and files; each raises `ModelError` at `where`."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from separation.errors import ModelError
from separation.store.redact import plain

MOST_NAME_BYTES = 255  # of a file, on every disk
MOST_GRAPH_BYTES = 2**31 - 1  # protobuf's own limit on a message


def check_names(where: str, kind: str, names: Iterable[str]) -> None:
    """`kind` is what the names are of, as in "a stem"; they name files, columns and processes."""
    if bad := [name for name in names if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)]:
        raise ModelError(
            where, f"{kind} is called {bad[0]!r}; it names files: 1 to 64 letters, digits, _ and -"
        )


def check_file(where: str, owner: str, file: str, size: int, sha256: str) -> None:
    """`owner` names the entry that the file belongs to, as in "graph drums"."""
    if file in ("", ".", "..") or PurePosixPath(file).name != file or "\\" in file:
        raise ModelError(where, f"{owner}: file {file!r} leaves the folder; expected a plain name")
    if plain(file) != file or len(file.encode()) > MOST_NAME_BYTES:
        said = f"file is {file[:80]!r}, expected a name of at most {MOST_NAME_BYTES} bytes"
        raise ModelError(where, f"{owner}: {said}")
    if not 0 < size <= MOST_GRAPH_BYTES:
        raise ModelError(where, f"{owner}: bytes is {size}, expected at most {MOST_GRAPH_BYTES}")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ModelError(where, f"{owner}: sha256 is {sha256!r}, expected 64 hexadecimal digits")
