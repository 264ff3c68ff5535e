"""The command-line options that name a bag's checkpoints. `origin.from_arguments` reads them.

They stand apart from it so that `python -m export --help` needs no torch.
"""

from argparse import ArgumentParser
from pathlib import Path

from separation.arguments import non_negative_int, positive_int

BAG_HELP = "a pretrained name, a folder with <name>.yaml, band_ft or random"
SIZES = {  # options of the bag called random, by their fields of RandomBag
    "channels": "channels of the first layer (default: 48)",
    "bottom_channels": "channels of the transformer (default: 512)",
    "layers": "layers of the transformer (default: 5)",
    "heads": "attention heads of a layer (default: 8)",
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
    for name, meaning in SIZES.items():
        random.add_argument(f"--{name.replace('_', '-')}", type=positive_int, metavar="N", help=meaning)
