"""The files of a bag's graphs: fetched from a store to a node's cache, and checked against the bag."""

import hashlib
from contextlib import suppress
from pathlib import Path

from separation.errors import ModelError
from separation.models.bag import Bag, GraphFile
from separation.models.bag_json import BAG_FILE
from separation.store.disk.atomic_write import atomic_write
from separation.store.disk.private_folder import open_private, private_folder
from separation.store.filesystems import is_local, local_path
from separation.store.objects import Store

DOWNLOADS = 2  # tries: a download may be damaged once; twice means that the stored file is wrong


class WrongFile(ModelError):
    """A store handed out other bytes than the bag states."""


def fetch(bag: Bag, graph: str, cache_dir: Path, store: Store) -> Path:
    """A local path of the graph's file, checked against the hash in the bag.

    A file in a local folder is used in place. Any other is kept in `cache_dir` under its hash: downloaded to
    a temporary name, checked, then renamed, so that many processes may fetch it at the same time and none
    reads a part. A cached file with a wrong hash is replaced.
    """
    if graph not in bag.graphs:
        raise ModelError(bag.uri, f"no graph {graph}; it has {', '.join(bag.graphs)}")
    entry = bag.graphs[graph]
    where = f"{bag.uri}/{entry.file}"
    if is_local(where):
        path = local_path(where)
        if difference := _difference(path, entry):
            raise ModelError(where, difference)
        return path
    cached = private_folder(cache_dir) / f"{entry.sha256}.onnx"
    if not _difference(cached, entry):
        return cached
    for _ in range(DOWNLOADS - 1):
        with suppress(WrongFile):
            return _download(where, cached, entry, store)
    return _download(where, cached, entry, store)


def _download(where: str, cached: Path, entry: GraphFile, store: Store) -> Path:
    """Puts the file at `cached`; raises WrongFile if it is not what the bag states."""
    try:
        if (size := store.stat(where).bytes) not in (None, entry.bytes):  # before it fills the disk
            raise WrongFile(where, f"{size} bytes, expected {entry.bytes}")
        with atomic_write(cached) as temporary:
            open_private(temporary, "xb").close()
            store.download(where, temporary)
            if difference := _difference(temporary, entry):
                raise WrongFile(where, difference)
    except FileNotFoundError:
        raise ModelError(where, f"not found; {BAG_FILE} lists it") from None
    except PermissionError:
        raise ModelError(where, "the store does not let us read it") from None
    return cached


def _difference(path: Path, entry: GraphFile) -> str:
    """What is wrong with the file at `path`; empty if nothing. Size before hash, because it is cheap."""
    if not path.is_file():
        return f"not found; {BAG_FILE} lists it"
    size = path.stat().st_size
    if size != entry.bytes:
        return f"{size} bytes, expected {entry.bytes}"
    found = sha256_of(path)
    return "" if found == entry.sha256 else f"sha256 is {found}, expected {entry.sha256}"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
