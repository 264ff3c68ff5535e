"""The argument types of all programs. Each raises a sentence that says what was expected."""

import argparse
import math
import os
import re
from pathlib import Path

from separation.errors import UsageError
from separation.store.redact import with_lower_scheme, without_credentials

# Schemes of fsspec that can be read, and why they are no place for results.
NO_OUTPUTS = {
    "memory": "what is in memory is gone with the process",
    "data": "the address itself is the data",
    "http": "a web server takes no files",
    "https": "a web server takes no files",
}


def uri(text: str) -> str:
    """A URI without a password: the command line stands in the machine's process list, and in Ray's table of
    jobs and on its dashboard. A name and `=` may stand before it."""
    if not text:
        raise argparse.ArgumentTypeError("is empty; expected a path or a URI")
    address = re.sub(r"^.*?(?=https?://)", "", text, count=1, flags=re.IGNORECASE | re.DOTALL)
    if without_credentials(text) != text or without_credentials(address) != address:
        raise argparse.ArgumentTypeError(
            "carries a user, a password or a signed query, and a command line can be read by others; "
            "credentials belong into the environment or a role"
        )
    return with_lower_scheme(text)


def names(text: str) -> tuple[str, ...]:
    """`a,b,c`"""
    return tuple(text.split(","))


def share(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return number


def share_or_count(text: str) -> float:
    """`0.01`, a share, as a float; `500`, a number of things, as an int."""
    return share(text) if "." in text else non_negative_int(text)


def positive_int(text: str) -> int:
    return _at_least(1, text)


def non_negative_int(text: str) -> int:
    return _at_least(0, text)


def positive_float(text: str) -> float:
    if (number := _number(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def non_negative_float(text: str) -> float:
    if (number := _number(text)) < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def seconds_range(text: str) -> tuple[float, float]:
    """`30` or `15-40`: the shortest and the longest track in seconds."""
    first, _, last = text.partition("-")
    try:
        shortest, longest = positive_float(first), positive_float(last or first)
    except argparse.ArgumentTypeError:
        shortest, longest = 1.0, 0.0
    if shortest > longest:
        raise argparse.ArgumentTypeError(f"{text!r} is no length in seconds, such as 30, nor two: 15-40")
    return shortest, longest


def _at_least(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"{number} is less than {least}")
    return number


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number


def absolute(folder: str) -> str:
    """The folder as tables name it: a plain path becomes absolute, so that it means the same everywhere."""
    folder = folder.rstrip("/") or "/"
    return folder if "://" in folder else os.path.abspath(folder)


def check_folder(folder: str | Path) -> None:
    """Raises `UsageError` if nothing can be written below a folder, which need not exist yet, and stay there.

    Checked before the work begins. What a store refuses is only known from writing to it.
    """
    scheme, is_uri, _ = with_lower_scheme(str(folder)).partition("://")
    if is_uri:
        if reason := NO_OUTPUTS.get(scheme):
            raise UsageError(f"{folder} cannot be an output: {reason}")
        return
    path = Path(os.path.abspath(folder))
    there = next(each for each in (path, *path.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise UsageError(f"{folder} cannot be a folder: {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{folder}: no permission to write to {there}")
