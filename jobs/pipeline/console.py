"""What programs print: a line is a line, whatever the names in it, and no credential is among them."""

import traceback
from typing import Any

from rich.console import Console

from separation.store.redact import shown


class LineConsole(Console):
    """A console whose strings are `shown`; tables and the like are printed as they are."""

    def __init__(self, **settings: Any):
        super().__init__(highlight=False, soft_wrap=True, markup=False, emoji=False, **settings)

    def print(self, *objects: Any, **settings: Any) -> None:
        super().print(*(shown(each) if isinstance(each, str) else each for each in objects), **settings)

    def print_failure(self, error: BaseException) -> None:
        """An exception that is no error of ours: where it came from, and its text."""
        for line in failure(error):
            self.print(line)


def failure(error: BaseException) -> list[str]:
    """The traceback's lines; a message is one line, whatever is in it."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = failure(cause) if cause else []
    frames = [line for frame in traceback.format_tb(error.__traceback__) for line in frame.splitlines()]
    return [*before, *frames, f"{type(error).__name__}: {error}"]
