"""demucs's own pretrained bags: which of them are HTDemucs, their checkpoints, their licence."""

import os
from collections.abc import Iterable
from pathlib import Path

import torch
from demucs.pretrained import REMOTE_ROOT, _parse_remote_files

from export.htdemucs.listing import read_listing
from separation.errors import ModelError
from separation.models.bag import Licence
from separation.models.graph_files import sha256_of

NAMES = ("htdemucs", "htdemucs_6s", "htdemucs_ft")  # demucs's other bags are of HDemucs and Demucs
SHA256 = {  # of the checkpoints by signature, where more than the first eight digits are known
    "f7e0c4bc": "ba3fe64ae8ef66ac9a4857222ce48efbdc5eb3ad375cb79dd13debee5aaa4066",
    "d12395a8": "e57c48e6b0e38af4f7118d7bd08c49f0a0c0edf7d09143bdd902ea0d237303e6",
    "92cfc3b6": "ef3bcb9c8b40d14ae5d51b6db2587339cc12c6b77c0be151ce6d69002e087bf2",
    "04573f0d": "f3cf25b222c4eed7cd49dd8b2c9597d50c18bd154090f7b919cfa5f93cf22c49",
}
LICENCE = Licence(
    weights="for scientific purposes, says demucs's author",
    terms="MIT for demucs's code, not for the weights",
    said_at="https://github.com/facebookresearch/demucs/issues/327, "
    "https://github.com/facebookresearch/demucs/issues/508",
)
WRITABLE_BY_ALL = 0o002  # in a file's mode
URLS = _parse_remote_files(REMOTE_ROOT / "files.txt")  # by signature


def listing_path(name: str) -> Path:
    """The yaml of a pretrained name. Raises `ModelError` for any that cannot be exported."""
    if name in NAMES:
        return Path(REMOTE_ROOT) / f"{name}.yaml"
    supported = ", ".join(NAMES)
    if name in {path.stem for path in Path(REMOTE_ROOT).glob("*.yaml")}:
        raise ModelError(name, f"is a bag of demucs whose models are not HTDemucs; supported: {supported}")
    raise ModelError(name, f"neither a folder nor a bag that is supported ({supported})")


def file_name(signature: str) -> str:
    """Such as 955717e8-8726e21a.th: after the dash the first eight digits of the file's sha256."""
    return str(URLS[signature].rpartition("/")[2])


def is_official(sha256: str) -> bool:
    """Whether a file of this sha256 is one of demucs's HTDemucs checkpoints, by its first eight digits."""
    return sha256[:8] in {_digits(signature) for name in NAMES for signature in _signatures(name)}


def described(signature: str) -> str:
    """The file of a signature and what is known of its sha256, for those who fetch it by hand."""
    known = SHA256.get(signature)
    return f"{file_name(signature)}  sha256 {known or f'{_digits(signature)}...'}"


def download(signature: str, signatures: Iterable[str]) -> Path:
    """A checkpoint in torch's cache, where demucs also keeps it; from demucs's server if it is not there.

    What arrives is checked: its whole sha256 where it is known, else the eight digits, as demucs does.
    `signatures` are the bag's, for the error.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / file_name(signature)
    expected = SHA256.get(signature, _digits(signature))
    if path.is_file() and sha256_of(path).startswith(expected):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    url = URLS[signature]
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=expected)
    except (OSError, RuntimeError) as error:
        files = "\n".join(f"  {described(each)}" for each in signatures)
        raise ModelError(
            url,
            f"{error}\nFetch from {url.rpartition('/')[0]}/ and give their folder with --repo DIR:\n{files}",
        ) from None
    return path


def only_ours_wrote(path: Path) -> bool:
    """Whether a file of torch's cache can be taken for what `download` or demucs put there: it and its folder
    are this user's or root's, and not everybody's to write."""
    found = [path.stat(), path.parent.stat()]
    return all(each.st_uid in (os.geteuid(), 0) and not each.st_mode & WRITABLE_BY_ALL for each in found)


def _digits(signature: str) -> str:
    return file_name(signature).removesuffix(".th").rpartition("-")[2]


def _signatures(name: str) -> tuple[str, ...]:
    return tuple(read_listing(listing_path(name)).models)
