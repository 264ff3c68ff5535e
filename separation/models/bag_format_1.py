"""bag.json of format 1: an htdemucs with one graph per stem."""

from typing import Any

from separation.contract import HTDEMUCS
from separation.errors import ModelError
from separation.models.bag import PRECISIONS, Bag, GraphFile, WeightedRow
from separation.models.bag_checks import check_file, check_names

CONTRACT = "htdemucs"


def read(where: str, folder: str, content: dict[str, Any]) -> Bag:
    """The bag in `content`; `where` is the file's URI, for errors."""
    for key in ("sample_rate", "segment", "stride"):
        expected = getattr(HTDEMUCS, key)
        if content.get(key) != expected:
            raise ModelError(where, f"{key} is {content.get(key)!r}, expected {expected}")
    if content.get("precision") not in PRECISIONS:
        raise ModelError(where, f"precision is {content.get('precision')!r}, expected one of {PRECISIONS}")
    stems, entries = content.get("stems"), content.get("specialists")
    if not isinstance(stems, list) or not stems or not all(isinstance(stem, str) for stem in stems):
        raise ModelError(where, f"stems is {stems!r}, expected a list of names")
    check_names(where, "a stem", stems)
    if len(set(stems)) != len(stems):
        raise ModelError(where, f"stems names one twice: {stems}")
    if not isinstance(entries, dict) or set(entries) != set(stems):
        found = sorted(entries) if isinstance(entries, dict) else entries
        raise ModelError(where, f"specialists are {found!r}, expected one for each of {stems}")
    return Bag(
        uri=folder,
        name=str(content.get("name", "")),
        contracts={CONTRACT: HTDEMUCS},
        graphs={stem: _graph(where, content, stem, entries[stem]) for stem in stems},
        stems={stem: (WeightedRow(stem, stem),) for stem in stems},
    )


def _graph(where: str, content: dict[str, Any], stem: str, entry: Any) -> GraphFile:
    fields = {"file": str, "sha256": str, "bytes": int, "source": str, "source_sha256": str}
    for key, kind in fields.items():
        value = entry.get(key) if isinstance(entry, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ModelError(where, f"specialist {stem}: {key} is {value!r}, expected {kind.__name__}")
    check_file(where, f"specialist {stem}", entry["file"], entry["bytes"], entry["sha256"])
    snr_db = entry.get("snr_db")
    if snr_db is not None and (isinstance(snr_db, bool) or not isinstance(snr_db, int | float)):
        raise ModelError(where, f"specialist {stem}: snr_db is {snr_db!r}, expected a number of dB")
    return GraphFile(
        **{key: entry[key] for key in fields},
        contract=CONTRACT,
        rows=(stem,),
        precision=content["precision"],
        snr_db=snr_db,
        origin=str(content.get("origin", "")),
        published=tuple(content["stems"]),
    )
