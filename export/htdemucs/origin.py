"""The checkpoints that a command line names, and the words that name them again (`origin` in bag.json)."""

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import band
from export.htdemucs.checkpoints import SpecialistModel, bag_name, open_bag
from export.htdemucs.random_bag import RandomBag
from separation.errors import UsageError

RANDOM = "random"
BAND = "band_ft"  # the bag that comes with the project: README, "The demonstration bag"
BAND_CHECKPOINTS = Path(band.__file__).with_name("checkpoints")
DEFAULT_SIZES = RandomBag()


@dataclass(frozen=True, slots=True)
class Request:
    """`bag` is a pretrained name, a folder, "band_ft" or "random"; `trust` lets unknown pickles be opened."""

    bag: str
    repo: Path | None = None
    trust: bool = False
    random: RandomBag = DEFAULT_SIZES

    @property
    def name(self) -> str:
        return bag_name(self._place)

    @property
    def _place(self) -> str:
        return str(BAND_CHECKPOINTS) if self.bag == BAND else self.bag

    @property
    def origin(self) -> str:
        """The same request as words of a command line; trust is not passed on to another day."""
        if self.bag != RANDOM:
            is_folder = self.bag != BAND and Path(self.bag).is_dir()
            words = [str(Path(self.bag).resolve()) if is_folder else self.bag]
            return shlex.join(words + (["--repo", str(self.repo.resolve())] if self.repo else []))
        words = [RANDOM]
        for field in fields(RandomBag):
            value = getattr(self.random, field.name)
            if value != field.default:
                words += [_flag(field.name)] if value is True else [_flag(field.name), str(value)]
        return shlex.join(words)

    def specialists(self) -> Iterator[SpecialistModel]:
        if self.bag == RANDOM:
            return self.random.specialists()
        return open_bag(self._place, self.repo, self.trust)


def add_arguments(parser: ArgumentParser) -> None:
    """The options that go with BAG; the caller adds BAG itself."""
    parser.add_argument("--repo", type=Path, help="folder of the checkpoints of a pretrained name")
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="open .th files, which are pickles and can run code, whose sha256 is not an official one",
    )
    sizes = parser.add_argument_group("random", "weights of the bag called random")
    sizes.add_argument(
        "--hot", action="store_true", help="every LayerScale from 0.1 to 0.5, as after training"
    )
    for field in fields(RandomBag):
        if field.name != "hot":
            sizes.add_argument(
                _flag(field.name), type=int, default=field.default, help="default: %(default)s"
            )


def from_arguments(args: Namespace) -> Request:
    sizes = RandomBag(**{field.name: getattr(args, field.name) for field in fields(RandomBag)})
    if args.bag != RANDOM and sizes != DEFAULT_SIZES:
        raise UsageError(f"--seed, --hot and sizes are for the bag called {RANDOM}, not for {args.bag}")
    return Request(args.bag, args.repo, args.trust_checkpoint, sizes)


def from_origin(origin: str, trust: bool) -> Request:
    """The request behind a bag.json's `origin`."""
    parser = ArgumentParser(prog="origin in bag.json", exit_on_error=False)
    parser.add_argument("bag")
    add_arguments(parser)
    request = from_arguments(parser.parse_args(shlex.split(origin)))
    return Request(request.bag, request.repo, trust, request.random)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
