"""python -m band: a catalogue of seeded songs, or a split of them with their stems."""

import argparse
from pathlib import Path

from band.catalogue import draw_specs, write_broken, write_catalogue
from band.musdb import write_split
from band.song import SPLITS


def length_range(text: str) -> tuple[float, float]:
    """`30` or `15-40`: the shortest and the longest track in seconds."""
    shortest, _, longest = text.partition("-")
    limits = float(shortest), float(longest or shortest)
    if not 0 < limits[0] <= limits[1]:
        raise ValueError(text)
    return limits


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m band", description="Write a catalogue of seeded songs.")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--tracks", type=int, default=7, metavar="N", help="how many (default 7)")
    parser.add_argument(
        "--seconds", type=length_range, default=(30.0, 30.0), metavar="S", help="30, or 15-40 (default 30)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="of the first song (default 0)")
    parser.add_argument("--broken", action="store_true", help="add one file that no decoder can read")
    parser.add_argument(
        "--musdb",
        choices=tuple(SPLITS),
        metavar="SPLIT",
        help="songs of this split with their stems instead, in the folders of MUSDB18-HQ: "
        f"{', '.join(SPLITS)}; --seed counts from the split's first",
    )
    options = parser.parse_args()
    if options.musdb and options.broken:
        parser.error("--broken is for a catalogue, not for --musdb")

    if options.musdb:
        for path in write_split(
            options.out, options.musdb, options.tracks, options.seconds, first=options.seed
        ):
            print(path)
        return
    specs = draw_specs(options.tracks, *options.seconds, seed=options.seed)
    paths = write_catalogue(options.out, options.seed, specs)
    if options.broken:
        paths.append(write_broken(options.out))
    for path in paths:
        print(path)


if __name__ == "__main__":
    main()
