"""The training from its arguments to the bag: the base model, then one specialist per stem."""

import argparse
import time

import torch
from demucs.htdemucs import HTDemucs

from export.htdemucs.arguments import SOURCES
from export.htdemucs.checkpoints import open_bag
from export.htdemucs.random_bag import save_models
from export.training.network import Sizes, build, only, with_row
from export.training.phase import Phase, Schedule, run
from export.training.songs import stored
from export.training.validate import validate

NAME = "band_ft"


def train(args: argparse.Namespace) -> bool:
    """Base model, specialists and, if all four are trained here, the bag; False if --seconds ended before."""
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
        models = {each.name: each.model for each in open_bag(args.start, repo=None, trust=False)}
    else:
        schedule = Schedule(args.steps, rate=2e-3, long_from=args.steps)
        base = trained("base", build(Sizes(), args.seed), list(range(len(SOURCES))), args.seed, schedule)
        if base is None:
            return False
        models = dict.fromkeys(SOURCES, base.averaged())
    for stem in args.stems:
        row = SOURCES.index(stem)
        schedule = Schedule(args.fine_steps, rate=1.5e-3, long_from=args.fine_steps * 3 // 4)
        specialist = trained(stem, only(models[stem], stem), [row], args.seed + 1 + row, schedule)
        if specialist is None:
            return False
        models[stem] = with_row(models[stem], specialist.averaged())
    if not args.start and len(args.stems) < len(SOURCES):
        return True
    weights = [[float(row == column) for column in SOURCES] for row in SOURCES]
    specialists = {stem: models[stem] for stem in SOURCES}
    save_models(specialists, weights, NAME, args.out / NAME, "safetensors")
    print(f"{args.out / NAME}: the bag; python -m export {args.out / NAME} --out DIR", flush=True)
    return True
