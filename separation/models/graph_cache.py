"""A node's cache of optimized graphs, so that an actor need not repeat the optimization of an earlier one.

An entry is named by a hash of all that it depends on: the graph, the engine and its version, the processor,
the settings. It is one file: the sha256 of the content, then the content. It is written under another name
and renamed, so a reader sees a complete entry or none; one with a wrong hash counts as missing.

An entry is run as it is, so nobody else may write one: its folder is private, and so is its file.
"""

import hashlib
import json
import os
import platform
from contextlib import suppress
from pathlib import Path

from separation.store.disk.atomic_write import atomic_write
from separation.store.disk.private_folder import open_private, private_folder

DIGEST_BYTES = 32  # bytes of a sha256
WRITABLE_BY_OTHERS = 0o022  # in a file's mode


def key(graph: bytes, **facts: object) -> str:
    """The name of the entry for a graph on this processor; `facts` are the engine's version and settings."""
    about = {"graph": hashlib.sha256(graph).hexdigest(), "processor": processor()} | facts
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def read(folder: Path, name: str) -> bytes | None:
    """The content of an entry, checked; None if it is missing or damaged, or others could have written it.

    Raises `StorageError` if the folder or the entry belongs to another user.
    """
    try:
        with open_private(private_folder(folder) / name, "rb") as file:
            if os.fstat(file.fileno()).st_mode & WRITABLE_BY_OTHERS:
                return None
            digest, content = file.read(DIGEST_BYTES), file.read()
    except OSError:
        return None
    return content if hashlib.sha256(content).digest() == digest else None


def write(folder: Path, name: str, content: bytes) -> None:
    """Writes an entry. If the disk is full or read-only, nothing is written and the next start is slower."""
    with (
        suppress(OSError),
        atomic_write(private_folder(folder) / name) as temporary,
        open_private(temporary, "xb") as file,
    ):
        file.write(hashlib.sha256(content).digest())
        file.write(content)


def processor() -> str:
    """The model and the instruction sets of this machine's processor, which an optimized graph depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    wanted = ("model name", "model", "stepping", "flags", "CPU part", "Features")
    return "\n".join(sorted({line for line in lines if line.partition("\t")[0].strip() in wanted}))
