"""What a source may take before it is refused, so that no file can take a node down.

Rates, channels, declared length and size are checked before anything is decoded; what no header tells
is stopped when it passes the limit.
"""

import argparse
from dataclasses import dataclass

from separation.arguments import positive_float
from separation.errors import ErrorKind, TrackError, UsageError

RATES = range(8_000, 192_001)  # Hz
SANE_RATES = range(1_000, 1_000_001)  # a header of 1 Hz makes a billion samples out of a few bytes
MOST_CHANNELS = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_bytes` are the address space of a decoder process, 0.4 GB of it before it reads a file."""

    hours: float = 12.0
    source_bytes: int = 8_000_000_000
    memory_bytes: int = 2_000_000_000
    silence_s: float = 45.0  # without a sample, after which a decoder hangs: its error is there within 60 s

    def __post_init__(self) -> None:
        for option, value in (
            ("--max-hours", self.hours),
            ("--max-source-gb", self.source_bytes),
            ("--decoder-gb", self.memory_bytes),
        ):
            if not value > 0:
                raise UsageError(f"{option} is a limit above 0")

    def check_size(self, uri: str, size: int) -> None:
        """Raises `TrackError(TOO_LARGE)` for an object that is not even to be fetched."""
        if size > self.source_bytes:
            reason = f"an object of {size / 1e9:.2f} GB; the limit is {self.source_bytes / 1e9:g} GB"
            raise TrackError(uri, ErrorKind.TOO_LARGE, reason)


DEFAULTS = Limits()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits", "a track beyond one of them is an error; the others go on")
    group.add_argument(
        "--max-hours",
        type=positive_float,
        default=DEFAULTS.hours,
        metavar="H",
        help="length of a track in hours (default: %(default)g)",
    )
    group.add_argument(
        "--max-source-gb",
        type=positive_float,
        default=DEFAULTS.source_bytes / 1e9,
        metavar="GB",
        help="size of a track's file (default: %(default)g)",
    )
    group.add_argument(
        "--decoder-gb",
        type=positive_float,
        default=DEFAULTS.memory_bytes / 1e9,
        metavar="GB",
        help="address space of a decoder process (default: %(default)g)",
    )


def from_arguments(args: argparse.Namespace) -> Limits:
    return Limits(args.max_hours, int(args.max_source_gb * 1e9), int(args.decoder_gb * 1e9))
