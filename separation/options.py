"""The options that decide the samples and the files of a separation, on one machine and on a cluster."""

import argparse
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, get_args

from separation.arguments import non_negative_int
from separation.audio.encoding import ClipMode, Encoding
from separation.contract import Contract, check_overlap
from separation.errors import ErrorKind, TrackError, UsageError
from separation.grid import GridRule, draw_shifts

Format = Literal["wav", "flac", "mp3", "ogg"]
PLACEHOLDERS = ("track_id", "track", "trackext", "stem", "ext")  # of --filename


@dataclass(frozen=True, slots=True)
class Options:
    """`stems` empty means all that the bag has; an `overlap` of None is that of each graph's contract.

    Raises `UsageError` for contradictions.
    """

    stems: tuple[str, ...] = ()
    two_stems: str | None = None
    overlap: float | None = None
    shifts: int = 0
    seed: int = 0
    format: Format = "wav"
    bits: Literal[16, 24, "float"] = 16
    clip_mode: ClipMode = "rescale"
    filename: str = "{track_id}/{stem}.{ext}"
    skip_silence: bool = False

    def __post_init__(self) -> None:
        check_overlap(self.overlap)
        draw_shifts(self.shifts, self.seed, max_shift=0)
        if self.stems and self.two_stems:
            raise UsageError("--stems and --two-stems exclude each other")
        if self.bits == "float" and self.format != "wav":
            raise UsageError(f"--float32 needs --format wav, not {self.format}")
        if self.bits == 24 and self.format not in ("wav", "flac"):
            raise UsageError(f"--int24 needs --format wav or flac, not {self.format}")
        self._check_filename()

    def _check_filename(self) -> None:
        """Refuses a template that Python cannot fill in, or that could give two stems one path."""
        known = f"the placeholders are {_braced(PLACEHOLDERS)}"
        try:
            fields = [field for field in string.Formatter().parse(self.filename) if field[1] is not None]
        except ValueError as error:  # unmatched braces
            raise UsageError(f"--filename {self.filename!r}: {error}; {known}") from None
        names = {name for _, name, _, _ in fields}
        if unknown := {name for name in names if name not in PLACEHOLDERS}:
            raise UsageError(
                f"--filename {self.filename!r} has no value for {_braced(sorted(map(str, unknown)))}; {known}"
            )
        if formats := [spec or conversion for _, _, spec, conversion in fields if spec or conversion]:
            raise UsageError(
                f"--filename {self.filename!r}: expected no format of a placeholder, found {formats[0]!r}, "
                "which may give two tracks one path"
            )
        if not {"track_id", "stem"} <= names:
            raise UsageError(
                f"--filename {self.filename!r} needs {{track_id}} and {{stem}}: without them, files "
                "of different tracks or stems would overwrite each other"
            )
        try:
            self.path("track.wav", "stem")
        except TrackError:
            raise UsageError(f"--filename {self.filename!r} must stay below the output folder") from None

    @property
    def encoding(self) -> Encoding:
        """Of the stems' files."""
        return Encoding(self.format, self.bits)

    def grid_rules(self, contracts: Mapping[str, Contract]) -> dict[str, GridRule]:
        """How the grids of each contract are laid, by its name. Contracts without shifts have one grid each.

        Raises `UsageError` for shifts that none of them has.
        """
        if self.shifts and not any(contract.max_shift for contract in contracts.values()):
            raise UsageError(f"--shifts {self.shifts}: these models are not shifted; expected 0")
        return {
            name: GridRule(
                contract.segment,
                contract.stride_for(self.overlap),
                draw_shifts(self.shifts if contract.max_shift else 0, self.seed, contract.max_shift),
                contract.window,
                contract.edges,
            )
            for name, contract in contracts.items()
        }

    def chosen(self, available: Iterable[str]) -> tuple[str, ...]:
        """The stems of the bag that are asked for, in the bag's order."""
        available = tuple(available)
        wanted = (self.two_stems,) if self.two_stems else self.stems or available
        if unknown := [stem for stem in wanted if stem not in available]:
            raise UsageError(f"the models have the stems {', '.join(available)}; not {', '.join(unknown)}")
        return tuple(stem for stem in available if stem in wanted)

    def outputs(self, available: Iterable[str]) -> tuple[str, ...]:
        """The stems to write: with `two_stems`, the stem and `no_<stem>`."""
        if self.two_stems:
            return (*self.chosen(available), f"no_{self.two_stems}")
        return self.chosen(available)

    def path(self, track_id: str, stem: str) -> str:
        """A stem's path below the output's `stems` folder.

        Raises `TrackError(BAD_KEY)` where the template leads out of it: of `...wav`, {track} is `..`.
        """
        name = PurePosixPath(track_id)
        path = self.filename.format(
            track_id=track_id, track=name.stem, trackext=name.suffix[1:], stem=stem, ext=self.format
        )
        if bad := {"", ".", ".."} & set(path.split("/")):
            reason = f"--filename makes it {path!r}, whose step {min(bad)!r} is no folder's name"
            raise TrackError(track_id, ErrorKind.BAD_KEY, reason)
        return path


def _braced(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options are called as in demucs where demucs has them."""
    group = parser.add_argument_group("separation")
    group.add_argument(
        "--stems", default="", metavar="A,B", help="separate only these stems (default: all of the models)"
    )
    group.add_argument(
        "--two-stems",
        metavar="STEM",
        help="write only STEM and no_STEM, which is the mix minus STEM; runs only the models of STEM",
    )
    group.add_argument(
        "--overlap",
        type=float,
        help="overlap of neighbouring chunks, from 0 to under 1 (default: that of the models; 0.25 for "
        "htdemucs)",
    )
    group.add_argument(
        "--shifts",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="average over N random shifts of the track (default: %(default)s; demucs: 1)",
    )
    group.add_argument(
        "--seed",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="seed of the random shifts (default: %(default)s)",
    )
    group.add_argument(
        "--skip-silence",
        action="store_true",
        help="infer no chunk of digital silence: its stems are silent, and the samples around it differ from "
        "those of demucs (a silent track is never inferred)",
    )
    group.add_argument(
        "--format",
        choices=get_args(Format),
        default="wav",
        help="file format of the stems (default: %(default)s)",
    )
    depth = group.add_mutually_exclusive_group()
    depth.add_argument("--int24", action="store_true", help="write 24-bit samples (wav, flac)")
    depth.add_argument("--float32", action="store_true", help="write float32 samples, never clamped (wav)")
    group.add_argument(
        "--clip-mode",
        choices=get_args(ClipMode),
        default="rescale",
        help="against clipping: scale all stems of a track by one factor, clamp samples, or do nothing "
        "(default: %(default)s)",
    )
    group.add_argument(
        "--filename",
        default=Options.__dataclass_fields__["filename"].default,
        metavar="TEMPLATE",
        help="path of a stem below the output folder, with the placeholders "
        f"{_braced(PLACEHOLDERS)} (default: %(default)s)",
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
        skip_silence=args.skip_silence,
    )
