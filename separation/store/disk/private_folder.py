"""Folders of a cache that no other user of the machine can read, fill or lead elsewhere.

A cache may lie in a folder that everybody can write to, as /tmp is, under a name that everybody can guess. So
each folder of ours in it is closed to others, and a folder or file that is not this user's is refused.
"""

import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO, Literal

from separation.errors import StorageError

Mode = Literal["rb", "ab", "xb"]

UNKNOWN_UID = 65534  # how a container shows an owner that it has no number for
FLAGS: dict[Mode, int] = {
    "rb": os.O_RDONLY,
    "ab": os.O_WRONLY | os.O_APPEND | os.O_CREAT,
    "xb": os.O_WRONLY | os.O_CREAT | os.O_EXCL,
}


def default_cache() -> Path:
    """This user's folder for models, optimized graphs and fetched sources."""
    return Path(tempfile.gettempdir()) / f"stemfleet-{os.getuid()}"


def private_folder(folder: Path) -> Path:
    """`folder`, made if it is missing, for this user alone (mode 0700). The folder around it may be root's.

    Raises `StorageError` if either belongs to another user or `folder` is a link, and OSError if it cannot be
    made.
    """
    around = folder.parent
    around.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_owner(around, around.lstat().st_uid, root_too=True)  # if it is a link: whose, and to whose folder
    _check_owner(around, around.stat().st_uid, root_too=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise StorageError(str(folder), "a link or a file; expected a folder of this user's") from None
        _check_owner(folder, found.st_uid)
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    return folder


def open_private(path: Path, mode: Mode) -> BinaryIO:
    """Opens a file of a private folder as `open` does, and never through a link; a new one gets mode 0600.

    Raises `StorageError` if the file is a link or another user's, and OSError as `open` does.
    """
    if path.is_symlink():
        raise StorageError(str(path), "a link; expected a file of this user's")
    descriptor = os.open(path, FLAGS[mode] | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, mode)
    try:
        _check_owner(path, os.fstat(descriptor).st_uid)
    except StorageError:
        file.close()
        raise
    return file


def _check_owner(path: Path, found: int, root_too: bool = False) -> None:
    ours = (os.geteuid(), 0, UNKNOWN_UID) if root_too else (os.geteuid(),)
    if found not in ours:
        raise StorageError(
            str(path),
            f"belongs to user {found}, not to this one, {os.geteuid()}; "
            "TMPDIR, or --cache where there is one, can name a folder of your own",
        )
