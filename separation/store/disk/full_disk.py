"""A full local disk, said as what it is: which folder, and how many bytes are left."""

import errno
import shutil
import tempfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path

from separation.errors import StorageError
from separation.store.redact import shown

FULL = (errno.ENOSPC, errno.EDQUOT)
LITTLE = 65_536  # bytes: libraries that write files say that it failed, and not why


class DiskFull(StorageError):
    """The local disk of the folder `uri` has no room: no fault of a track, and none of the store."""

    def __str__(self) -> str:
        return f"disk full: {shown(self.uri)} has {self.reason}"


class FileTooLarge(DiskFull):
    """The folder `uri` takes no file of that size, as FAT none of 4 GiB and `ulimit -f` sets it."""

    def __str__(self) -> str:
        return f"file too large: {shown(self.uri)} takes {self.reason}"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the block, below TMPDIR."""
    with room_in(Path(tempfile.gettempdir())):
        folder = tempfile.TemporaryDirectory(prefix="stemfleet-")
    with folder as path:
        yield Path(path)


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Raises `DiskFull` for an error of the block that comes from the full disk of `folder`.

    The folder need not be there yet. Raises `FileTooLarge` if its disk has room, but not for such a file.
    """
    try:
        yield
    except DiskFull:
        raise
    except (OSError, RuntimeError, AssertionError, StorageError) as error:  # soundfile's are the middle two
        folder = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        free = shutil.disk_usage(folder).free
        is_vague = getattr(error, "errno", None) is None
        if _says(FULL, error) or (is_vague and free < LITTLE):
            raise DiskFull(str(folder), f"{free} bytes left") from error
        if _says((errno.EFBIG,), error):
            raise FileTooLarge(str(folder), "no file of that size") from error
        raise


def _says(numbers: Container[int], error: BaseException) -> bool:
    each: BaseException | None = error
    while each is not None:
        if isinstance(each, OSError) and each.errno in numbers:
            return True
        each = each.__cause__
    return False
