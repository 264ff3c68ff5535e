"""What programs print: every string on a line of its own, whatever names are in it, without credentials."""

from typing import Any

from rich.console import Console

from separation.store.redact import shown


class LineConsole(Console):
    """A console whose strings go through `shown`; tables and the like are printed as they are.

    `quiet` drops everything but results.
    """

    def __init__(self, **settings: Any):
        super().__init__(highlight=False, soft_wrap=True, markup=False, emoji=False, **settings)

    def print(self, *objects: Any, **settings: Any) -> None:
        super().print(*(shown(each) if isinstance(each, str) else each for each in objects), **settings)

    def result(self, *objects: Any) -> None:
        """Prints what the program was run for, with `--quiet` too."""
        quiet, self.quiet = self.quiet, False
        try:
            self.print(*objects)
        finally:
            self.quiet = quiet


def plural(number: int) -> str:
    """The ending of a noun after `number`."""
    return "" if number == 1 else "s"


def counted(number: int, noun: str) -> str:
    """`1 track`, `2 tracks`."""
    return f"{number} {noun}{plural(number)}"


def clock(seconds: float) -> str:
    """`0:03:21`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
