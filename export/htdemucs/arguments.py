"""The command-line options that name a bag's checkpoints. `origin.from_arguments` reads them.

They stand apart from it so that `python -m export --help` needs no torch.
"""

from argparse import ArgumentParser, ArgumentTypeError
from fractions import Fraction
from pathlib import Path

from separation.arguments import names, non_negative_int, positive_int

BAG_HELP = "htdemucs, htdemucs_6s or htdemucs_ft, a folder with <name>.yaml, band_ft or random"
SOURCES = ("drums", "bass", "other", "vocals")  # of htdemucs and htdemucs_ft, in the order of their rows
SIZES = {  # options of the bag called random, by their fields of RandomBag
    "channels": (positive_int, "channels of the first layer (default: 48)"),
    "bottom_channels": (non_negative_int, "channels of the transformer, 0 as in htdemucs_6s (default: 512)"),
    "depth": (positive_int, "layers of each encoder, up to 4 (default: 4)"),
    "layers": (non_negative_int, "layers of the transformer (default: 5)"),
    "heads": (positive_int, "attention heads of a layer (default: 8)"),
}


def add_arguments(parser: ArgumentParser) -> None:
    """The options that go with BAG; the caller adds BAG itself."""
    parser.add_argument(
        "--repo", type=Path, metavar="DIR", help="folder that holds the checkpoints of a pretrained name"
    )
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="open .th files whose sha256 is not an official one; they are pickles and can run code",
    )
    random = parser.add_argument_group("random", "weights of the bag called random")
    random.add_argument(
        "--hot", action="store_true", help="draw every LayerScale from 0.1 to 0.5, as after training"
    )
    random.add_argument("--seed", type=non_negative_int, metavar="N", help="seed of the weights (default: 0)")
    random.add_argument(
        "--models",
        type=positive_int,
        metavar="N",
        help="average N models of all sources; 1 is like htdemucs (default: a specialist per source)",
    )
    random.add_argument(
        "--sources", type=names, metavar="A,B", help=f"names of the stems (default: {','.join(SOURCES)})"
    )
    random.add_argument(
        "--segment", type=seconds, metavar="S", help="seconds that a model takes, 10 or 39/5 (default: 7.8)"
    )
    for name, (kind, meaning) in SIZES.items():
        random.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=meaning)


def seconds(text: str) -> Fraction:
    """`10`, `7.8` or `39/5`, exact."""
    try:
        found = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if found <= 0:
        raise ArgumentTypeError(f"{text} is not above 0")
    return found
