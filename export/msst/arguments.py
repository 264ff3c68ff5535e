"""The command-line options that name a model in MSST's formats. They need no torch."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

TYPES = {  # of each family, MSST's names of its model types
    "scnet": ("scnet", "scnet_masked"),
    "roformer": ("mel_band_roformer", "bs_roformer"),
}
PRECISIONS = ("fp32", "fp16")


def add_arguments(parser: ArgumentParser, family: str, required: bool = True) -> None:
    """The options that go with the name of a family."""
    parser.add_argument(
        "--type", choices=TYPES[family], help="MSST's model type (default: what the files themselves tell)"
    )
    for name, metavar, meaning in (
        ("--config", "FILE.yaml", "the model's configuration, as MSST reads it"),
        ("--checkpoint", "FILE", ".ckpt, .pth, .th or .safetensors"),
    ):
        parser.add_argument(name, type=Path, required=required, metavar=metavar, help=meaning)
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="open a checkpoint that holds more than weights: such a pickle can run code",
    )


def family_of(origin: str) -> str:
    """The family with whose name an origin begins, or ""."""
    first = origin.partition(" ")[0]
    return first if first in TYPES else ""


def origin_words(family: str, args: Any) -> list[str]:
    """The same request as a command line, without --trust-checkpoint: trust is given anew each time."""
    kind = ["--type", args.type] if args.type else []
    files = ["--config", str(args.config.resolve()), "--checkpoint", str(args.checkpoint.resolve())]
    return [family, *kind, *files]
