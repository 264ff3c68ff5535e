"""`origin` of a graph in bag.json: the command-line words that name its checkpoints again, of any family."""

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn, Protocol

from export.model_folder import ExportableModel
from export.msst.arguments import family_of
from separation.errors import UsageError


class Request(Protocol):
    """What a command line, or an origin, names: checkpoints of one family."""

    def models(self, stems: Sequence[str] | None = None) -> Iterator[ExportableModel]:
        """The models that `stems` (None: all) need, each loaded when the iterator reaches it."""


def request_of(origin: str, trust: bool) -> Request:
    """The checkpoints that `origin` names; `UsageError` if it names none."""
    if family_of(origin):
        from export.msst import request

        return request.from_origin(origin, trust)
    from export.htdemucs.origin import from_origin

    return from_origin(origin, trust)


def parse_origin(origin: str, add: Callable[[ArgumentParser], None]) -> Namespace:
    """The words of an origin by the arguments that `add` adds; `UsageError` for others."""
    parser = _OriginParser(add_help=False)
    add(parser)
    try:
        words = shlex.split(origin)
    except ValueError as error:  # quotes that do not match
        parser.error(str(error))
    return parser.parse_args(words)


class _OriginParser(ArgumentParser):
    """A parser of what a file says: its errors are raised."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"origin in bag.json names no checkpoints: {message}")
