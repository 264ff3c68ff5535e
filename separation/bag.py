from dataclasses import dataclass
from pathlib import Path
import json
from separation.storage import read_bytes, join


@dataclass(frozen=True)
class SpecialistFile:
    file: str
    sha256: str
    bytes: int
    source: str
    source_sha256: str


@dataclass(frozen=True)
class Bag:
    uri: str
    name: str
    stems: tuple
    precision: str
    specialists: dict


def read_bag(uri):
    d = json.loads(read_bytes(join(uri, "bag.json")))
    return Bag(
        uri,
        d["name"],
        tuple(d["stems"]),
        d["precision"],
        {k: SpecialistFile(**v) for k, v in d["specialists"].items()},
    )


def fetch(bag, stem, cache_dir):
    p = Path(cache_dir) / bag.specialists[stem].sha256
    p.parent.mkdir(parents=True, exist_ok=True)
    p.write_bytes(read_bytes(join(bag.uri, bag.specialists[stem].file)))
    return p
