"""A bag of checkpoints as demucs stores them -> its models, one at a time.

    pretrained name   demucs's own list of files, each checked by its sha256
    folder            <name>.yaml and for every model <signature>.th, <signature>-<checksum>.th or
                      <signature>.safetensors

A `.th` file is a pickle: opening it can run any code. It is opened if its whole sha256 is an official one, if
it was downloaded from demucs's server under a pretrained name, or if the user trusts it. A `.safetensors`
file names a class to build, and demucs would call whatever it names; only HTDemucs is built here.
Sources: repo.py, states.py, hf.py and pretrained.py of demucs 4.1.0.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from demucs.states import load_model
from safetensors import SafetensorError, safe_open

from export.htdemucs import pretrained
from export.htdemucs.bag_model import BagModel, Checkpoint, bag_models
from export.htdemucs.listing import Listing, read_listing
from export.weights import check_finite
from separation.errors import ModelError
from separation.models.bag import Licence

HTDEMUCS = f"{HTDemucs.__module__}.{HTDemucs.__qualname__}"


def open_bag(
    bag: str,
    repo: Path | None,
    trust: bool,
    stems: Sequence[str] | None = None,
    licence: Licence | None = None,
) -> Iterator[BagModel]:
    """The models of a bag that `stems` (None: all) need; each is loaded when the iterator reaches it.

    `bag` is a pretrained name or a folder, `repo` the folder that holds the checkpoints of a pretrained name
    (None: torch's cache, filled from demucs's server), `trust` allows pickles of unknown sha256. `licence` is
    what is said of the weights; None: what is known here.
    """
    listing, folder = find_listing(bag, repo)

    def load(signature: str) -> Checkpoint:
        if folder is None:
            path = pretrained.download(signature, listing.models)
            came_from_there = signature not in pretrained.SHA256 and pretrained.only_ours_wrote(path)
            model, sha256 = load_checkpoint(path, trust or came_from_there)
        else:
            path = find_checkpoint(folder, signature)
            model, sha256 = load_checkpoint(path, trust)
        official = bag in pretrained.NAMES or pretrained.is_official(sha256)
        said = licence or (pretrained.LICENCE if official else Licence())
        return Checkpoint(model.eval(), path.name, sha256, said)

    return bag_models(listing, load, stems)


def find_listing(bag: str, repo: Path | None) -> tuple[Listing, Path | None]:
    """The bag's listing and the folder of its checkpoints; None for the folder means demucs's server."""
    if Path(bag).is_dir():
        found = sorted(Path(bag).glob("*.yaml"))
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise ModelError(bag, f"expected one <name>.yaml in the folder, found {names}")
        return read_listing(found[0]), Path(bag)
    if Path(bag).is_file():
        listing = f"<name>.yaml that says models: [{Path(bag).stem}]"
        raise ModelError(bag, f"is a file; expected a folder that holds it, and a {listing}")
    if repo is not None and not repo.is_dir():
        raise ModelError(str(repo), "not a folder; --repo is where the checkpoints are")
    own = None if repo is None else repo / f"{bag}.yaml"
    path = own if own and own.is_file() else pretrained.listing_path(bag)
    return read_listing(path), repo


def bag_name(bag: str) -> str:
    """The stem of the yaml's file name for a folder, or the pretrained name itself."""
    return next(iter(sorted(Path(bag).glob("*.yaml"))), Path(bag)).stem if Path(bag).is_dir() else bag


def find_checkpoint(folder: Path, signature: str) -> Path:
    """The checkpoint of a signature; safetensors first, because opening one runs no code.

    What stands behind the last dash of a `.th` file's name is its checksum, as in demucs/repo.py.
    """
    if (safe := folder / f"{signature}.safetensors").is_file():
        return safe
    found = sorted(
        path for path in folder.glob("*.th") if signature in (path.stem, path.stem.rpartition("-")[0])
    )
    if len(found) > 1:
        raise ModelError(str(folder), f"two checkpoints of {signature}: {[path.name for path in found]}")
    if found:
        return found[0]
    expected = f"{signature}.safetensors, {signature}.th or {signature}-<checksum>.th"
    if signature in pretrained.URLS:
        expected += f", such as {pretrained.described(signature)}"
    raise ModelError(str(folder), f"no checkpoint of {signature}; expected {expected}")


def load_checkpoint(path: Path, trust: bool) -> tuple[HTDemucs, str]:
    """The model in a checkpoint and the file's sha256."""
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        if path.suffix == ".safetensors":
            with safe_open(str(path), framework="pt") as file:
                metadata = file.metadata() or {}
            if metadata.get("klass") != HTDEMUCS or "structure" in metadata:
                raise other_class(path, metadata.get("klass"))
            model = load_safetensors_model(path)
        else:
            model = load_model(_unpickled(path, content, sha256, trust))
    except (SafetensorError, AssertionError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(str(path), f"not a demucs checkpoint: {type(error).__name__}: {error}") from None
    assert isinstance(model, HTDemucs)  # both ways refuse any other class
    check_finite(str(path), model.state_dict())
    return model, sha256


def _unpickled(path: Path, content: bytes, sha256: str, trust: bool) -> dict[str, object]:
    """The package in a `.th` file, opened from the very bytes that were hashed."""
    _, separator, checksum = path.stem.rpartition("-")
    if separator and not sha256.startswith(checksum):
        raise ModelError(str(path), f"sha256 is {sha256}; its name says {checksum}: damaged or incomplete")
    if not trust and sha256 not in pretrained.SHA256.values():
        raise ModelError(
            str(path),
            f"is a pickle, which can run any code when it is opened, and its sha256 {sha256} is not one that "
            "is known here; --trust-checkpoint opens it anyway (.safetensors needs no trust)",
        )
    try:
        package = torch.load(io.BytesIO(content), "cpu", weights_only=False)
    except Exception as error:  # a pickle can raise anything
        raise ModelError(str(path), f"not a demucs checkpoint: {type(error).__name__}: {error}") from None
    if not isinstance(package, dict):
        raise other_class(path, f"whole {type(package).__name__}")
    if package.get("klass") is not HTDemucs:
        raise other_class(path, package.get("klass"))
    return package


def other_class(path: Path, found: object) -> ModelError:
    """What is said of a checkpoint of another class, or of none."""
    held = f"a {found}" if found else "weights without their class"
    return ModelError(str(path), f"holds {held}; supported: {HTDEMUCS}, as demucs saves it")
