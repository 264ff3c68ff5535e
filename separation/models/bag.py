"""A model folder: `bag.json` and one ONNX file per stem; and a node's cache of files fetched from a store."""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from separation.contract import SAMPLE_RATE, SEGMENT, STRIDE
from separation.errors import ModelError
from separation.store.disk.atomic_write import atomic_write
from separation.store.disk.private_folder import open_private, private_folder
from separation.store.filesystems import is_local, local_path
from separation.store.objects import Store
from separation.store.redact import plain

BAG_FILE = "bag.json"
DEMO = "demo"  # in place of a folder: the demonstration model that comes with the package
DEMO_FOLDER = Path(__file__).resolve().parents[2] / "band/bag"  # in a checkout and in an installed wheel
PRECISIONS = ("fp32", "fp16", "int8")
MOST_NAME_BYTES = 255  # of a file, on every disk
MOST_BAG_BYTES = 1_000_000  # of bag.json
MOST_GRAPH_BYTES = 2**31 - 1  # protobuf's own limit on a message
DOWNLOADS = 2  # tries: a download may be damaged once; twice means that the stored file is wrong


class WrongFile(ModelError):
    """A store handed out other bytes than the bag states."""


@dataclass(frozen=True, slots=True)
class SpecialistFile:
    """One stem's ONNX file in the folder, and the checkpoint that it was made from."""

    file: str
    sha256: str
    bytes: int
    source: str
    source_sha256: str
    snr_db: float | None = None  # against the checkpoint in float32; None for fp32, and in older folders


@dataclass(frozen=True, slots=True)
class Bag:
    """A checked bag. `uri` is its folder; `origin` the arguments of `python -m export` that made it."""

    uri: str
    name: str
    stems: tuple[str, ...]
    precision: str
    specialists: Mapping[str, SpecialistFile]
    origin: str = ""


def write_bag(bag: Bag, folder: Path) -> None:
    """Writes `bag.json`, whole or not at all; `bag.uri` is where a reader finds it and is not written."""
    content = {
        "name": bag.name,
        "stems": list(bag.stems),
        "sample_rate": SAMPLE_RATE,
        "segment": SEGMENT,
        "stride": STRIDE,
        "precision": bag.precision,
        "origin": bag.origin,
        "specialists": {stem: asdict(bag.specialists[stem]) for stem in bag.stems},
    }
    with atomic_write(folder / BAG_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def read_bag(uri: str | Path, store: Store) -> Bag:
    """The bag of the folder at `uri`, checked against the contract; its files are checked by `fetch`.

    The string "demo" is the demonstration model, wherever the program runs and whatever lies there: a folder
    of that name is "./demo" or "demo/".
    """
    folder = str(DEMO_FOLDER if uri == DEMO else uri).rstrip("/")
    where = f"{folder}/{BAG_FILE}"
    try:
        if (size := store.stat(where).bytes or 0) > MOST_BAG_BYTES:
            raise ModelError(where, f"{size} bytes, expected at most {MOST_BAG_BYTES}")
        content = json.loads(store.read_bytes(where))
    except FileNotFoundError:
        raise ModelError(where, "not found; a model folder holds it beside its .onnx files") from None
    except PermissionError:
        raise ModelError(where, "the store does not let us read it") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(where, f"not JSON: {error}") from None
    return _read_format_1(where, folder, content)


def _read_format_1(where: str, folder: str, content: Any) -> Bag:
    """The bag in `content`; ModelError says which key is wrong, what was found and what was expected."""
    if not isinstance(content, dict):
        raise ModelError(where, f"expected a JSON object, found {type(content).__name__}")
    for key, expected in (("sample_rate", SAMPLE_RATE), ("segment", SEGMENT), ("stride", STRIDE)):
        if content.get(key) != expected:
            raise ModelError(where, f"{key} is {content.get(key)!r}, expected {expected}")
    if content.get("precision") not in PRECISIONS:
        raise ModelError(where, f"precision is {content.get('precision')!r}, expected one of {PRECISIONS}")
    stems, entries = content.get("stems"), content.get("specialists")
    if not isinstance(stems, list) or not stems or not all(isinstance(stem, str) for stem in stems):
        raise ModelError(where, f"stems is {stems!r}, expected a list of names")
    if bad := [stem for stem in stems if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", stem)]:
        raise ModelError(where, f"a stem is called {bad[0]!r}; it names files: letters, digits, _ and - only")
    if len(set(stems)) != len(stems):
        raise ModelError(where, f"stems names one twice: {stems}")
    if not isinstance(entries, dict) or set(entries) != set(stems):
        found = sorted(entries) if isinstance(entries, dict) else entries
        raise ModelError(where, f"specialists are {found!r}, expected one for each of {stems}")
    return Bag(
        uri=folder,
        name=str(content.get("name", "")),
        stems=tuple(stems),
        precision=content["precision"],
        specialists={stem: _specialist(where, stem, entries[stem]) for stem in stems},
        origin=str(content.get("origin", "")),
    )


def _specialist(where: str, stem: str, entry: Any) -> SpecialistFile:
    fields = {"file": str, "sha256": str, "bytes": int, "source": str, "source_sha256": str}
    for key, kind in fields.items():
        value = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ModelError(where, f"specialist {stem}: {key} is {value!r}, expected {kind.__name__}")
    name = entry["file"]
    if name in ("", ".", "..") or PurePosixPath(name).name != name or "\\" in name:
        raise ModelError(where, f"specialist {stem}: file {name!r} leaves the folder; expected a plain name")
    if plain(name) != name or len(name.encode()) > MOST_NAME_BYTES:
        said = f"file is {name[:80]!r}, expected a name of at most {MOST_NAME_BYTES} bytes"
        raise ModelError(where, f"specialist {stem}: {said}")
    if not 0 < entry["bytes"] <= MOST_GRAPH_BYTES:
        raise ModelError(
            where, f"specialist {stem}: bytes is {entry['bytes']}, expected at most {MOST_GRAPH_BYTES}"
        )
    sha256 = entry["sha256"]
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ModelError(where, f"specialist {stem}: sha256 is {sha256!r}, expected 64 hexadecimal digits")
    snr_db = entry.get("snr_db")
    if snr_db is not None and (isinstance(snr_db, bool) or not isinstance(snr_db, int | float)):
        raise ModelError(where, f"specialist {stem}: snr_db is {snr_db!r}, expected a number of dB")
    return SpecialistFile(**{key: entry[key] for key in fields}, snr_db=snr_db)


def fetch(bag: Bag, stem: str, cache_dir: Path, store: Store) -> Path:
    """A local path of the stem's file, checked against the hash in the bag.

    A file in a local folder is used in place. Any other is kept in `cache_dir` under its hash: downloaded to
    a temporary name, checked, then renamed, so that many processes may fetch it at the same time and none
    reads a part. A cached file with a wrong hash is replaced.
    """
    if stem not in bag.specialists:
        raise ModelError(bag.uri, f"no specialist for {stem}; it has {', '.join(bag.stems)}")
    entry = bag.specialists[stem]
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


def _download(where: str, cached: Path, entry: SpecialistFile, store: Store) -> Path:
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


def _difference(path: Path, entry: SpecialistFile) -> str:
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
