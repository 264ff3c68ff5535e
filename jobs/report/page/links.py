"""Addresses of an output's files as a page may link to them."""

import os
from pathlib import PurePosixPath
from typing import get_args
from urllib.parse import quote

from separation.options import Format
from separation.store.filesystems import is_local, join, local_path

PLAYED = get_args(Format)  # suffixes of stems; a browser might run another file, such as an HTML page


def link_to(stem: str, page_folder: str) -> str | None:
    """The address of the stem at the URI `stem`, relative to the page's folder; None if it has none.

    It has one below the page's folder, and on the disk that both are on. Names are untrusted: quoted, none is
    a scheme, a query or a fragment.
    """
    if PurePosixPath(stem).suffix[1:] not in PLAYED:
        return None
    if is_local(stem) and is_local(page_folder):
        return quote(os.path.relpath(local_path(stem), local_path(page_folder)))
    below = join(page_folder, "")
    return quote(stem.removeprefix(below)) if stem.startswith(below) else None
