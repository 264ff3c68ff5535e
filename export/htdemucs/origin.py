"""From a command line to checkpoints, and to the line that names them again (`origin` in bag.json)."""

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import band
from export import licence
from export.htdemucs.arguments import add_arguments
from export.htdemucs.bag_model import BagModel
from export.htdemucs.checkpoints import bag_name, open_bag
from export.htdemucs.random_bag import RandomBag
from export.origin import parse_origin
from separation.errors import UsageError
from separation.models.bag import Licence

RANDOM = "random"
BAND = "band_ft"  # the bag in this repository: docs/models.md, "The demonstration bag"
BAND_CHECKPOINTS = Path(band.__file__).with_name("checkpoints")
BAND_LICENCE = Licence("MIT", "made by this project from songs that it synthesised itself", "LICENSE")
DEFAULT_SIZES = RandomBag()


@dataclass(frozen=True, slots=True)
class Request:
    """`bag` is a pretrained name, a folder, "band_ft" or "random"; `trust` lets unknown pickles be opened.

    `licence` is what is said of the weights; None: what is known here.
    """

    bag: str
    repo: Path | None = None
    trust: bool = False
    random: RandomBag = DEFAULT_SIZES
    licence: Licence | None = None

    @property
    def name(self) -> str:
        """The bag's name, for bag.json."""
        return bag_name(self._location)

    @property
    def _location(self) -> str:
        return str(BAND_CHECKPOINTS) if self.bag == BAND else self.bag

    @property
    def origin(self) -> str:
        """The same request as a command line, without --trust-checkpoint: trust is given anew each time."""
        if self.bag != RANDOM:
            is_folder = self.bag != BAND and Path(self.bag).is_dir()
            arguments = [str(Path(self.bag).resolve()) if is_folder else self.bag]
            return shlex.join(arguments + (["--repo", str(self.repo.resolve())] if self.repo else []))
        arguments = [RANDOM]
        for field in fields(RandomBag):
            value = getattr(self.random, field.name)
            if value != field.default:
                text = ",".join(value) if isinstance(value, tuple) else str(value)
                arguments += [_flag(field.name)] if value is True else [_flag(field.name), text]
        return shlex.join(arguments)

    def models(self, stems: Sequence[str] | None = None) -> Iterator[BagModel]:
        """The models that `stems` (None: all) need, each loaded when the iterator reaches it."""
        if self.bag == RANDOM:
            return self.random.bag_models(stems, self.licence)
        licence = self.licence or (BAND_LICENCE if self.bag == BAND else None)
        return open_bag(self._location, self.repo, self.trust, stems, licence)


def from_arguments(args: Namespace) -> Request:
    given = {field.name: getattr(args, field.name) for field in fields(RandomBag)}
    sizes = RandomBag(**{name: value for name, value in given.items() if value is not None})
    if args.bag != RANDOM and sizes != DEFAULT_SIZES:
        raise UsageError(f"--seed, --hot and sizes are for the bag called {RANDOM}, not for {args.bag}")
    return Request(args.bag, args.repo, args.trust_checkpoint, sizes, licence.from_arguments(args))


def from_origin(origin: str, trust: bool) -> Request:
    """The request behind a bag.json's `origin`."""

    def add(parser: ArgumentParser) -> None:
        parser.add_argument("bag", metavar="BAG")
        add_arguments(parser)

    request = from_arguments(parse_origin(origin, add))
    return Request(request.bag, request.repo, trust, request.random)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
