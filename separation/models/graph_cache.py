"""The node's cache of optimized graphs: an actor's start reads what an earlier one has worked out.

An entry is named by all that it depends on: the graph's own sha256, the engine and its version, the
processor, the settings. It is one file, its own sha256 before its content, written under another name and
renamed: a reader sees a whole entry or none, and one that does not check is as good as none.
"""

import hashlib
import json
import platform
from contextlib import suppress
from pathlib import Path

from separation.store.atomic_write import atomic_write

DIGEST = 32  # bytes of a sha256


def key(graph: bytes, **facts: object) -> str:
    """The entry's name for a graph and the facts about engine and machine that decide its optimized form."""
    about = {"graph": hashlib.sha256(graph).hexdigest(), "processor": processor()} | facts
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def read(folder: Path, name: str) -> bytes | None:
    """The content of an entry, the very bytes that were checked; None if it is missing or damaged."""
    try:
        with (folder / name).open("rb") as file:
            digest, content = file.read(DIGEST), file.read()
    except OSError:
        return None
    return content if hashlib.sha256(content).digest() == digest else None


def write(folder: Path, name: str, content: bytes) -> None:
    """Keeps an entry. A full or closed disk costs the next start its seconds and nothing else."""
    with suppress(OSError), atomic_write(folder / name) as temporary, temporary.open("wb") as file:
        file.write(hashlib.sha256(content).digest())
        file.write(content)


def processor() -> str:
    """The model and the instruction sets of this machine's processor: an optimized graph is made for them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    wanted = ("model name", "model", "stepping", "flags", "CPU part", "Features")
    return "\n".join(sorted({line for line in lines if line.partition("\t")[0].strip() in wanted}))
