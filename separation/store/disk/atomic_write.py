"""Local files that appear whole or not at all: written under a temporary name, synced, then renamed."""

import errno
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.part")  # the temporary names; a killed writer leaves its file
TEMPORARY_NAME_BYTES = 38  # of such a name
NO_SYNC = (errno.EINVAL, errno.ENOTSUP)  # what fsync says on a file system that has none


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`, which gets its name when the block ends.

    If the block raises, the temporary file is removed and `path` stays as it was. The folder is made if it
    does not exist. The file has the mode that the umask gives.
    """
    with _temporary(path) as temporary:
        yield temporary
        publish(temporary, path)


def atomic_create(path: Path, data: bytes) -> None:
    """Writes a file unless there is one: of many writers one succeeds, and the others change nothing.

    On a file system without hard links (exFAT, some of NFS and FUSE) it is there and empty for a moment.
    """
    with _temporary(path) as temporary:
        temporary.write_bytes(data)
        _sync(temporary)
        with suppress(FileExistsError):
            _name(temporary, path)
    _sync(path.parent)


def _name(temporary: Path, path: Path) -> None:
    """Raises FileExistsError if another file has the name."""
    try:
        os.link(temporary, path)  # a rename would replace that file
    except FileExistsError:
        raise
    except OSError:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        os.replace(temporary, path)


def publish(temporary: Path, path: Path) -> None:
    """Renames a written file; after a crash of the machine it is the old one or the whole new one."""
    _sync(temporary)
    os.replace(temporary, path)
    _sync(path.parent)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    _make_folder(path.parent)
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)  # after a rename there is nothing left to remove


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    """Without it, a rename can reach the disk before the bytes do, or after what is written later."""
    if path.is_dir() and not os.access(path, os.R_OK):
        return  # a folder that may be written to and not be opened
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(descriptor)
