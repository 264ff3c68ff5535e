"""python -m export: checkpoints in, a model folder out, and proof that both compute the same."""

import argparse
import hashlib
import sys
from pathlib import Path

from export.bench import bench
from export.htdemucs.checkpoints import SpecialistModel
from export.htdemucs.graph import SpecialistModule, to_onnx
from export.htdemucs.origin import Request, add_arguments, from_arguments, from_origin
from export.parity import measure, music_like
from export.verify import CPU_PROVIDERS, SEGMENT_SEED, verify
from separation.errors import SeparationError, UsageError
from separation.models.bag import PRECISIONS, Bag, SpecialistFile, read_bag, write_bag
from separation.models.specialist import Specialist


def export(request: Request, out: Path, stems: list[str] | None, precision: str) -> Bag:
    """Writes the specialists of `stems` (all of them by default) and then bag.json."""
    out.mkdir(parents=True, exist_ok=True)
    files, order = {}, []
    for specialist in request.specialists():
        order.append(specialist.stem)
        if stems is not None and specialist.stem not in stems:
            continue
        content = to_onnx(SpecialistModule(specialist.model, specialist.row, precision))
        path = out / f"{specialist.stem}.onnx"
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        snr_db = None if precision == "fp32" else _snr_db(specialist, path)
        files[specialist.stem] = SpecialistFile(
            path.name, sha256, len(content), specialist.source, specialist.source_sha256, snr_db
        )
        said = "" if snr_db is None else f"{snr_db:.1f} dB  "
        print(f"{path}  {len(content) / 1e6:.1f} MB  {said}from {specialist.source}", flush=True)
    if unknown := set(stems or ()) - set(order):
        raise UsageError(f"{request.bag} has no {', '.join(sorted(unknown))}; it has {', '.join(order)}")
    kept = tuple(stem for stem in order if stem in files)
    bag = Bag(str(out), request.name, kept, precision, files, request.origin)
    write_bag(bag, out)
    return bag


def _snr_db(source: SpecialistModel, path: Path) -> float:
    """What the precision costs, on onnxruntime's CPU: to a tenth, finer is the processor's rounding."""
    specialist = Specialist(path, source.stem, provider="cpu")
    return round(measure(source.model, source.row, specialist, music_like(SEGMENT_SEED)).snr_db, 1)


def parser_of_export() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description=__doc__,
        epilog="See also python -m export verify --help and python -m export bench --help.",
    )
    words = "a pretrained name, a folder with <name>.yaml, band_ft or random"
    parser.add_argument("bag", metavar="BAG", help=words)
    parser.add_argument("--out", type=Path, required=True, help="the model folder to write")
    parser.add_argument("--stems", nargs="+", help="only these")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    add_arguments(parser)
    return parser


def parser_of_verify() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export verify", description="Compares every stem of a model folder with PyTorch."
    )
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--bag", metavar="BAG", help="the checkpoints; by default those that bag.json names")
    parser.add_argument(
        "--provider", choices=CPU_PROVIDERS, default=CPU_PROVIDERS[0], help="default: %(default)s"
    )
    parser.add_argument(
        "--batches",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="and the graph with N segments at once, as a GPU gets them, on onnxruntime",
    )
    add_arguments(parser)
    return parser


def parser_of_bench() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export bench", description="Measures a specialist of the full size beside PyTorch."
    )
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, 2], help="a table for each (default: 1 2)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    return parser


def main(words: list[str]) -> int:
    try:
        if words[:1] == ["verify"]:
            args = parser_of_verify().parse_args(words[1:])
            if any(batch < 1 for batch in args.batches):
                raise UsageError(f"--batches {min(args.batches)}: expected 1 or more")
            bag = read_bag(args.folder)
            request = from_arguments(args) if args.bag else from_origin(bag.origin, args.trust_checkpoint)
            return 0 if verify(bag, request, args.provider, args.batches) else 1
        if words[:1] == ["bench"]:
            print(bench(parser_of_bench().parse_args(words[1:])))
            return 0
        args = parser_of_export().parse_args(words)
        export(from_arguments(args), args.out, args.stems, args.precision)
        return 0
    except SeparationError as error:
        print(f"python -m export: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
