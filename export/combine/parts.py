"""What `python -m export combine` is told, a word each: the folder of stems, or what a rest leaves out."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from separation.arguments import uri

REST = "mix-"  # before the stems that a rest leaves out; a folder of such a name is ./mix-...
FORMS = "expected STEM,STEM=FOLDER or STEM=mix-STEM,STEM"


@dataclass(frozen=True, slots=True)
class Taken:
    """Stems of the model folder at a path or a URI."""

    stems: tuple[str, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class Rest:
    """A stem that is the mix minus others."""

    stem: str
    minus: tuple[str, ...]


Part = Taken | Rest


def part(text: str) -> Part:
    """`vocals=melband/`, `drums,bass=htdemucs_ft/`, or `instrumental=mix-vocals`; the type of an argument."""
    left, _, right = text.partition("=")
    stems = _names(text, left)
    if not right.startswith(REST):
        return Taken(stems, uri(right)) if right else _refuse(text)
    return Rest(stems[0], _names(text, right.removeprefix(REST))) if len(stems) == 1 else _refuse(text)


def _names(text: str, names: str) -> tuple[str, ...]:
    found = tuple(names.split(","))
    if not all(found) or len(set(found)) != len(found):
        _refuse(text)
    return found


def _refuse(text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"{text!r}: {FORMS}")


def folders(parts: Sequence[Part]) -> tuple[str, ...]:
    """Each folder once, in the order in which they are named first."""
    return tuple(dict.fromkeys(each.folder for each in parts if isinstance(each, Taken)))
