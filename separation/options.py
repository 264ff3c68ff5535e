"""What decides the samples and the files of a separation; the same for a laptop and a cluster."""

import argparse
import string
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, get_args

from separation.audio.encoding import ClipMode
from separation.contract import OVERLAP
from separation.errors import UsageError
from separation.grid import draw_shifts, stride_of

Format = Literal["wav", "flac", "mp3", "ogg"]
FIELDS = {"track_id", "track", "trackext", "stem", "ext"}


@dataclass(frozen=True, slots=True)
class Options:
    """`stems` empty means all that the bag has. Raises `UsageError` when they contradict."""

    stems: tuple[str, ...] = ()
    two_stems: str | None = None
    overlap: float = OVERLAP
    shifts: int = 0
    seed: int = 0
    format: Format = "wav"
    bits: Literal[16, 24, "float"] = 16
    clip_mode: ClipMode = "rescale"
    filename: str = "{track_id}/{stem}.{ext}"

    def __post_init__(self) -> None:
        stride_of(self.overlap)
        draw_shifts(self.shifts, self.seed)
        if self.stems and self.two_stems:
            raise UsageError("--stems and --two-stems exclude each other")
        if self.bits == "float" and self.format != "wav":
            raise UsageError(f"--float32 needs --format wav, not {self.format}")
        if self.bits == 24 and self.format not in ("wav", "flac"):
            raise UsageError(f"--int24 needs --format wav or flac, not {self.format}")
        fields = {name for _, name, _, _ in string.Formatter().parse(self.filename) if name is not None}
        if unknown := fields - FIELDS:
            raise UsageError(f"--filename knows {sorted(FIELDS)}, not {sorted(unknown)}")
        if not {"track_id", "stem"} <= fields:
            raise UsageError(
                f"--filename {self.filename!r} needs {{track_id}} and {{stem}}: without them, files "
                "of different tracks or stems would overwrite each other"
            )
        if {"", ".", ".."} & set(self.filename.split("/")):
            raise UsageError(f"--filename {self.filename!r} must stay below the output folder")

    @property
    def grid_shifts(self) -> tuple[int, ...]:
        """Samples before the track at which each grid begins; see `draw_shifts`."""
        return draw_shifts(self.shifts, self.seed)

    def specialists(self, available: tuple[str, ...]) -> tuple[str, ...]:
        """The stems to infer, in the bag's order."""
        wanted = (self.two_stems,) if self.two_stems else self.stems or available
        if unknown := [stem for stem in wanted if stem not in available]:
            raise UsageError(f"the models have the stems {', '.join(available)}; not {', '.join(unknown)}")
        return tuple(stem for stem in available if stem in wanted)

    def outputs(self, available: tuple[str, ...]) -> tuple[str, ...]:
        """The stems to write: with `two_stems`, the stem and `no_<stem>`."""
        if self.two_stems:
            return (self.two_stems, f"no_{self.two_stems}")
        return self.specialists(available)

    def path(self, track_id: str, stem: str) -> str:
        """A stem's path below the output's `stems` folder."""
        name = PurePosixPath(track_id)
        return self.filename.format(
            track_id=track_id, track=name.stem, trackext=name.suffix[1:], stem=stem, ext=self.format
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """demucs's names where it has them."""
    group = parser.add_argument_group("separation")
    group.add_argument(
        "--stems", default="", metavar="A,B", help="only these stems (all that the models have)"
    )
    group.add_argument(
        "--two-stems", metavar="STEM", help="only STEM and no_STEM (mix minus STEM): runs one specialist"
    )
    group.add_argument(
        "--overlap", type=float, default=OVERLAP, help="of neighbouring chunks, 0 to under 1 (%(default)s)"
    )
    group.add_argument(
        "--shifts", type=int, default=0, help="average over this many random shifts (%(default)s; demucs: 1)"
    )
    group.add_argument("--seed", type=int, default=0, help="of the shifts (%(default)s)")
    group.add_argument("--format", choices=get_args(Format), default="wav", help="of the stems (%(default)s)")
    depth = group.add_mutually_exclusive_group()
    depth.add_argument("--int24", action="store_true", help="24-bit samples (wav, flac)")
    depth.add_argument("--float32", action="store_true", help="float32 samples, never clamped (wav)")
    group.add_argument(
        "--clip-mode",
        choices=get_args(ClipMode),
        default="rescale",
        help="against clipping: rescale all stems of a track by one factor, clamp, or none (%(default)s)",
    )
    group.add_argument(
        "--filename",
        default=Options.__dataclass_fields__["filename"].default,
        help="of a stem, below the output folder; fields track_id, track, trackext, stem, ext (%(default)s)",
    )


def from_arguments(args: argparse.Namespace) -> Options:
    return Options(
        stems=tuple(stem for stem in args.stems.split(",") if stem),
        two_stems=args.two_stems,
        overlap=args.overlap,
        shifts=args.shifts,
        seed=args.seed,
        format=args.format,
        bits="float" if args.float32 else 24 if args.int24 else 16,
        clip_mode=args.clip_mode,
        filename=args.filename,
    )
