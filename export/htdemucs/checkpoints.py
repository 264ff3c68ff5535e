"""A bag of checkpoints as demucs stores them -> its specialists, one at a time.

    pretrained name   demucs's own list of files, each checked by its whole sha256 before it is opened
    folder            <name>.yaml and for every model <signature>.th, <signature>-<checksum>.th or
                      <signature>.safetensors

A `.th` file is a pickle: opening it can run any code. A `.safetensors` file names a class to build, and
demucs would call whatever it names; only HTDemucs is built here.
Sources: repo.py, states.py, hf.py and pretrained.py of demucs 4.1.0.
"""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import torch
import yaml
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from demucs.pretrained import REMOTE_ROOT, _parse_remote_files
from demucs.states import load_model
from safetensors import SafetensorError, safe_open

from export.htdemucs.specialist_model import SpecialistModel
from export.htdemucs.supported import check_supported
from separation.errors import ModelError
from separation.models.bag import sha256_of

OFFICIAL_SHA256 = {  # htdemucs_ft, by signature
    "f7e0c4bc": "ba3fe64ae8ef66ac9a4857222ce48efbdc5eb3ad375cb79dd13debee5aaa4066",
    "d12395a8": "e57c48e6b0e38af4f7118d7bd08c49f0a0c0edf7d09143bdd902ea0d237303e6",
    "92cfc3b6": "ef3bcb9c8b40d14ae5d51b6db2587339cc12c6b77c0be151ce6d69002e087bf2",
    "04573f0d": "f3cf25b222c4eed7cd49dd8b2c9597d50c18bd154090f7b919cfa5f93cf22c49",
}
HTDEMUCS = f"{HTDemucs.__module__}.{HTDemucs.__qualname__}"


def open_bag(bag: str, repo: Path | None, trust: bool) -> Iterator[SpecialistModel]:
    """The specialists of a bag in the order of its yaml; each is loaded when the iterator reaches it.

    `bag` is a pretrained name or a folder, `repo` the folder that holds the checkpoints of a pretrained name
    (None: torch's cache, filled from demucs's server), `trust` allows pickles of unknown sha256.
    """
    listing, folder = _find_listing(bag, repo)
    signatures, rows = read_listing(listing)
    paths = (
        [_download(bag, signature, signatures) for signature in signatures]
        if folder is None
        else [find_checkpoint(folder, signature) for signature in signatures]
    )
    stems: list[str] | None = None
    for path, row in zip(paths, rows, strict=True):
        model, sha256 = load_checkpoint(path, trust)
        check_supported(str(path), model, len(rows))
        stems = stems or list(model.sources)
        if list(model.sources) != stems:
            raise ModelError(str(path), f"separates {model.sources}, the bag's first model {stems}")
        yield SpecialistModel(stems[row], row, model.eval(), path.name, sha256)


def _find_listing(bag: str, repo: Path | None) -> tuple[Path, Path | None]:
    """The bag's yaml and the folder of its checkpoints; None for the folder means demucs's server."""
    if Path(bag).is_dir():
        found = sorted(Path(bag).glob("*.yaml"))
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise ModelError(bag, f"expected one <name>.yaml in the folder, found {names}")
        return found[0], Path(bag)
    if repo is not None and not repo.is_dir():
        raise ModelError(str(repo), "not a folder; --repo is where the checkpoints are")
    own = None if repo is None else repo / f"{bag}.yaml"
    listing = own if own and own.is_file() else REMOTE_ROOT / f"{bag}.yaml"
    if not listing.is_file():
        known = ", ".join(sorted(path.stem for path in REMOTE_ROOT.glob("*.yaml")))
        raise ModelError(bag, f"neither a folder nor a bag that demucs knows ({known})")
    return listing, repo


def bag_name(bag: str) -> str:
    """The stem of the yaml's file name for a folder, or the pretrained name itself."""
    return next(iter(sorted(Path(bag).glob("*.yaml"))), Path(bag)).stem if Path(bag).is_dir() else bag


def read_listing(path: Path) -> tuple[list[str], list[int]]:
    """Signatures of a bag's models, and for each the one row that its weights keep, from the bag's yaml."""
    try:
        content = yaml.safe_load(path.read_text())
        signatures, weights = content["models"], content.get("weights")
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(str(path), f"not a bag: {type(error).__name__}: {error}") from None
    if not weights or len(weights) != len(signatures):
        raise ModelError(str(path), f"weights are {weights}; expected one row for each of {signatures}")
    rows = []
    for signature, row in zip(signatures, weights, strict=True):
        if sorted(row) != [0.0] * (len(row) - 1) + [1.0]:
            raise ModelError(
                str(path), f"{signature} has weights {row}; a specialist has a single 1 and zeros"
            )
        rows.append(row.index(1.0))
    for stem in range(max(len(row) for row in weights)):
        owners = [signature for signature, row in zip(signatures, rows, strict=True) if row == stem]
        if len(owners) != 1:
            raise ModelError(str(path), f"source {stem} has the specialists {owners}; expected one")
    return [str(signature) for signature in signatures], rows


def find_checkpoint(folder: Path, signature: str) -> Path:
    """The checkpoint of a signature; safetensors first, because opening one runs no code."""
    for pattern in (f"{signature}.safetensors", f"{signature}.th", f"{signature}-*.th"):
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            raise ModelError(str(folder), f"two checkpoints of {signature}: {[path.name for path in found]}")
        if found:
            return found[0]
    expected = f"{signature}.safetensors, {signature}.th or {signature}-<checksum>.th"
    if signature in OFFICIAL_SHA256:
        expected += f", such as {_official_file(signature)} with sha256 {OFFICIAL_SHA256[signature]}"
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
                raise ModelError(str(path), f"holds a {metadata.get('klass')}, expected a {HTDEMUCS}")
            model = load_safetensors_model(path)
        else:
            model = load_model(_unpickled(path, content, sha256, trust))
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(str(path), f"not a demucs checkpoint: {type(error).__name__}: {error}") from None
    assert isinstance(model, HTDemucs)  # both ways refuse any other class
    return model, sha256


def _unpickled(path: Path, content: bytes, sha256: str, trust: bool) -> dict[str, object]:
    """The package in a `.th` file, opened from the very bytes that were hashed."""
    _, separator, checksum = path.stem.rpartition("-")
    if separator and not sha256.startswith(checksum):
        raise ModelError(str(path), f"sha256 is {sha256}; its name says {checksum}: damaged or incomplete")
    if not trust and sha256 not in OFFICIAL_SHA256.values():
        raise ModelError(
            str(path),
            f"is a pickle, which can run any code when it is opened, and its sha256 {sha256} is not that of "
            "an official checkpoint; --trust-checkpoint opens it anyway (.safetensors needs no trust)",
        )
    try:
        package = torch.load(io.BytesIO(content), "cpu", weights_only=False)
    except Exception as error:  # a pickle can raise anything
        raise ModelError(str(path), f"not a demucs checkpoint: {type(error).__name__}: {error}") from None
    if not isinstance(package, dict) or package.get("klass") is not HTDemucs:
        found = package.get("klass") if isinstance(package, dict) else type(package)
        raise ModelError(str(path), f"holds a {found}, expected a {HTDEMUCS}")
    return package


def _official_file(signature: str) -> str:
    return f"{signature}-{OFFICIAL_SHA256[signature][:8]}.th"


def _download(bag: str, signature: str, signatures: list[str]) -> Path:
    """An official checkpoint in torch's cache, where demucs also keeps it; downloaded if it is not there."""
    if signature not in OFFICIAL_SHA256:
        raise ModelError(bag, f"the sha256 of {signature} is not known here; give its files with --repo")
    path = Path(torch.hub.get_dir()) / "checkpoints" / _official_file(signature)
    sha256 = OFFICIAL_SHA256[signature]
    if path.is_file() and sha256_of(path) == sha256:
        return path
    url = _parse_remote_files(REMOTE_ROOT / "files.txt")[signature]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256)
    except (OSError, RuntimeError) as error:
        folder = url.rpartition("/")[0]
        files = "\n".join(f"  {_official_file(each)}  sha256 {OFFICIAL_SHA256[each]}" for each in signatures)
        raise ModelError(
            url, f"{error}\nFetch these four from {folder}/ and give their folder with --repo DIR:\n{files}"
        ) from None
    return path
