"""python -m export.training --out DIR: trains the demonstration bag, or goes on where it was cut off.

Base model on all stems, then a specialist for every stem, fine-tuned from it with only the stem's row in
the loss, then the bag as demucs keeps it. Cut off at any time, it loses at most a minute. With --start there
is no base: the specialists go on from an earlier bag's, and the stems that are not trained stay as they are.
"""

import argparse
import math
import sys
import time
from pathlib import Path

import torch
from demucs.htdemucs import HTDemucs

from export.htdemucs.checkpoints import open_bag
from export.htdemucs.random_bag import save_models
from export.training.network import Sizes, build, only, with_row
from export.training.phase import Phase, Schedule, run
from export.training.songs import stored
from export.training.validate import validate
from separation.contract import STEMS

NAME = "band_ft"


def parser_of_training() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export.training", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="states, songs and the bag")
    parser.add_argument("--songs", type=int, default=400, help="in the training set (default %(default)s)")
    parser.add_argument("--steps", type=int, default=3000, help="of the base model (default %(default)s)")
    parser.add_argument(
        "--fine-steps", type=int, default=800, help="of every specialist (default %(default)s)"
    )
    parser.add_argument(
        "--start", metavar="BAG", help="a folder with a bag of these sizes whose specialists train on"
    )
    parser.add_argument(
        "--stems", nargs="+", default=list(STEMS), choices=STEMS, help="specialists to train here (all)"
    )
    parser.add_argument(
        "--validate",
        type=int,
        default=6,
        metavar="N",
        help="score every model on N songs (default %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (default %(default)s)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (default)")
    parser.add_argument("--threads", type=int, default=2, help="on a CPU (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="stop after so long, to go on later")
    return parser


def train(args: argparse.Namespace) -> bool:
    """Base, specialists and, where all four are trained here, the bag; False where --seconds ended before."""
    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(args.threads)
    ends = time.monotonic() + args.seconds
    songs = stored(args.out / "songs", "train", args.songs)
    unheard = stored(args.out / "songs", "validation", args.validate)

    def trained(name: str, model: HTDemucs, rows: list[int], seed: int, schedule: Schedule) -> Phase | None:
        phase = Phase(model.to(device), rows, seed, schedule, device, args.threads)
        if not run(phase, songs, args.out / f"{name}.pt", seconds=ends - time.monotonic()):
            return None
        if unheard and phase.step > phase.begun:
            for stem, (ours, mix) in validate(phase.averaged(), unheard, rows).items():
                print(f"{name}: {stem} SDR {ours:.2f} dB on unheard songs, the mix {mix:.2f}", flush=True)
        return phase

    if args.start:
        models = {each.stem: each.model for each in open_bag(args.start, repo=None, trust=False)}
    else:
        schedule = Schedule(args.steps, rate=2e-3, long_from=args.steps)
        base = trained("base", build(Sizes(), args.seed), list(range(len(STEMS))), args.seed, schedule)
        if base is None:
            return False
        models = dict.fromkeys(STEMS, base.averaged())
    for stem in args.stems:
        row = STEMS.index(stem)
        schedule = Schedule(args.fine_steps, rate=1.5e-3, long_from=args.fine_steps * 3 // 4)
        specialist = trained(stem, only(models[stem], stem), [row], args.seed + 1 + row, schedule)
        if specialist is None:
            return False
        models[stem] = with_row(models[stem], specialist.averaged())
    if not args.start and len(args.stems) < len(STEMS):
        return True
    save_models(models, NAME, args.out / NAME, "safetensors")
    print(f"{args.out / NAME}: the bag; python -m export {args.out / NAME} --out DIR", flush=True)
    return True


def main(words: list[str]) -> int:
    return 0 if train(parser_of_training().parse_args(words)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
