"""bag.json of a model folder: found, read in either format, and written."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from separation.errors import ModelError
from separation.models import bag_format_1, bag_format_2
from separation.models.bag import Bag, Recipe, RestOfMix
from separation.store.disk.atomic_write import atomic_write
from separation.store.objects import Store

BAG_FILE = "bag.json"
DEMO = "demo"  # in place of a folder: the demonstration model that comes with the package
DEMO_FOLDER = Path(__file__).resolve().parents[2] / "band/bag"  # in a checkout and in an installed wheel
MOST_BAG_BYTES = 1_000_000  # of bag.json
FORMAT = 2


def read_bag(uri: str | Path, store: Store) -> Bag:
    """The bag of the folder at `uri`, checked; its files are checked by `graph_files.fetch`.

    The string "demo" is the demonstration model, wherever the program runs and whatever lies there: a folder
    of that name is "./demo" or "demo/". A bag without `format` is of format 1, which all programs wrote until
    a graph could have several rows. Raises `ModelError`, which says which key is wrong, what was found and
    what was expected.
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
    if not isinstance(content, dict):
        raise ModelError(where, f"expected a JSON object, found {type(content).__name__}")
    if "format" not in content:
        return bag_format_1.read(where, folder, content)
    if content["format"] != FORMAT or isinstance(content["format"], bool):
        raise ModelError(where, f"format is {content['format']!r}, expected {FORMAT}, or none for format 1")
    return bag_format_2.read(where, folder, content)


def write_bag(bag: Bag, folder: Path) -> None:
    """Writes `bag.json`, whole or not at all; `bag.uri` is where a reader finds it and is not written.

    A bag of format 1 is not written: its graphs may have rows that it does not name.
    """
    content = {
        "format": FORMAT,
        "name": bag.name,
        "contracts": {name: asdict(contract) for name, contract in bag.contracts.items()},
        "graphs": {name: _without(asdict(graph), "published") for name, graph in bag.graphs.items()},
        "stems": {stem: _recipe(recipe) for stem, recipe in bag.stems.items()},
    }
    with atomic_write(folder / BAG_FILE) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def _recipe(recipe: Recipe) -> Any:
    if isinstance(recipe, RestOfMix):
        return {"mix_minus": recipe.stems}
    return [(row.graph, row.row, row.weight) for row in recipe]


def _without(content: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != key}
