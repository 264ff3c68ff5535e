"""Limits on a source file, so that no single file can exhaust a node.

Sample rate, channels, declared length and size are checked before decoding; what no header declares is
checked while decoding.
"""

import argparse
from dataclasses import dataclass

from separation.arguments import non_negative_float, positive_float
from separation.errors import ErrorKind, TrackError, UsageError

RATES = range(8_000, 1_536_001)  # Hz; DSD is decoded to an eighth of its rate, 352.8 kHz and more
SANE_RATES = range(1_000, 10_000_001)  # Hz; resampled from 1 Hz, a few bytes would become a billion samples
MOST_CHANNELS = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_bytes` limits the address space of a decoder process, which takes 0.4 GB before any file."""

    hours: float = 12.0
    source_bytes: int = 8_000_000_000
    memory_bytes: int = 2_000_000_000
    source_patience_s: float = 60.0  # of trying to read a source; then its track stays pending
    silence_s: float = 45.0  # a decoder without a sample for so long has stalled; its error comes within 60 s

    def __post_init__(self) -> None:
        for option, value in (
            ("--max-hours", self.hours),
            ("--max-source-gb", self.source_bytes),
            ("--decoder-gb", self.memory_bytes),
        ):
            if not value > 0:
                raise UsageError(f"{option} is a limit above 0")

    def check_size(self, uri: str, size: int | None) -> None:
        """Raises `TrackError(TOO_LARGE)` for an object that is too large to fetch."""
        if size is not None and size > self.source_bytes:
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
        "--source-patience",
        type=non_negative_float,
        default=DEFAULTS.source_patience_s,
        metavar="S",
        help="seconds to try a source whose store does not answer; then its track stays pending "
        "(default: %(default)g)",
    )
    group.add_argument(
        "--decoder-gb",
        type=positive_float,
        default=DEFAULTS.memory_bytes / 1e9,
        metavar="GB",
        help="address space of a decoder process (default: %(default)g)",
    )


def from_arguments(args: argparse.Namespace) -> Limits:
    return Limits(
        args.max_hours, int(args.max_source_gb * 1e9), int(args.decoder_gb * 1e9), args.source_patience
    )
