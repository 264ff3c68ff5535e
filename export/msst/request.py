"""From a command line to a model in MSST's formats, and to the line that names it again: a bag's `origin`."""

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from export import licence
from export.model_folder import write_model_folder
from export.msst.arguments import TYPES, add_arguments, family_of, origin_words
from export.msst.model import MsstModel, graph_name, open_model
from export.origin import parse_origin
from separation.models.bag import Bag, Licence


@dataclass(frozen=True, slots=True)
class Request:
    """`type` is MSST's, or None to see it in the files; `trust` opens a pickle of more than weights."""

    family: str
    type: str | None
    config: Path
    checkpoint: Path
    trust: bool = False
    licence: Licence | None = None

    @property
    def name(self) -> str:
        """The bag's name, for bag.json."""
        return graph_name(self.checkpoint.name)

    @property
    def origin(self) -> str:
        return shlex.join(origin_words(self.family, self))

    def models(self, stems: Sequence[str] | None = None) -> Iterator[MsstModel]:
        """The model, with the rows `stems` (None: all)."""
        yield open_model(
            self.family, self.type, self.config, self.checkpoint, self.trust, stems, self.licence
        )


def from_arguments(family: str, args: Namespace) -> Request:
    said = licence.from_arguments(args)
    return Request(family, args.type, args.config, args.checkpoint, args.trust_checkpoint, said)


def from_origin(origin: str, trust: bool) -> Request:
    """The request behind a bag.json's `origin`, which begins with the name of a family."""
    family = family_of(origin)

    def add(parser: ArgumentParser) -> None:
        parser.add_argument("family", choices=[*TYPES])
        add_arguments(parser, family)

    args = parse_origin(origin, add)
    return Request(family, args.type, args.config, args.checkpoint, trust)


def export(request: Request, out: Path, stems: Sequence[str] | None, precision: str) -> Bag:
    """Exports `stems` (None: all) of the model that `request` names to `out`."""
    return write_model_folder(request.models(stems), request.name, request.origin, out, precision)
