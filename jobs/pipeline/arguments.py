"""What the command lines of all programs have in common."""

import argparse
import os

from separation.store.redact import without_credentials


def uri(text: str) -> str:
    """The type of an argument that is a URI: a command line is no place for a password.

    It stands in the machine's process list, and in Ray's table of jobs and on its dashboard.
    """
    if without_credentials(text) != text:
        raise argparse.ArgumentTypeError(
            "carries a user, a password or a signed query, and a command line can be read by others; "
            "credentials belong into the environment or a role"
        )
    return text


def place(folder: str) -> str:
    """The folder as tables name it: a plain path is absolute, so that it means the same everywhere."""
    folder = folder.rstrip("/") or "/"
    return folder if "://" in folder else os.path.abspath(folder)
