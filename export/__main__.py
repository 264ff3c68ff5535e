"""python -m export: checkpoints in, a model folder out, and proof that both compute the same."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from export import licence
from separation import program
from separation.arguments import check_folder, names, positive_int
from separation.program import COMMON_OPTIONS, ExitCode

PROG = "python -m export"
VERIFIED = ("cpu", "openvino", "cuda")  # providers


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    return program.run(parser, work, with_command(sys.argv[1:] if arguments is None else arguments), prog)


def parser(prog: str = PROG) -> program.Parser:
    parser = program.Parser(
        prog=prog,
        description="Turns checkpoints into a model folder, and proves that both compute the same.",
        epilog=f"{prog} BAG --out DIR is short for {prog} bag BAG --out DIR. "
        "Exit codes: 0 done; 1 a row or a GPU falls short of what it has to reach; 2 refused or stopped.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (add, summary) in COMMANDS.items():
        add(commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."))
    return parser


def work(args: argparse.Namespace, quiet: bool) -> int:
    code: int = args.command(args)
    return code


def with_command(arguments: Sequence[str]) -> list[str]:
    """`arguments` with `bag` before them if they name no command."""
    first = next((word for word in arguments if word not in LOUDNESS), "")
    named = not first or first in COMMANDS or first in COMMON_OPTIONS
    return [*arguments] if named else ["bag", *arguments]


def add_bag(parser: argparse.ArgumentParser) -> None:
    from export.htdemucs.arguments import BAG_HELP, add_arguments
    from separation.models.bag import PRECISIONS

    parser.set_defaults(command=export_bag)
    parser.add_argument("bag", metavar="BAG", help=BAG_HELP)
    _add_export(parser, PRECISIONS)
    add_arguments(parser)


def _add_export(parser: argparse.ArgumentParser, precisions: Sequence[str]) -> None:
    """The options of every command that exports checkpoints."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the model folder to write")
    parser.add_argument(
        "--stems", type=names, metavar="A,B", help="export only what these stems need (default: all)"
    )
    parser.add_argument(
        "--precision", choices=precisions, default="fp32", help="of the weights (default: %(default)s)"
    )
    licence.add_arguments(parser)


def export_bag(args: argparse.Namespace) -> int:
    check_folder(args.out)
    from export.htdemucs.export_bag import export
    from export.htdemucs.origin import from_arguments

    export(from_arguments(args), args.out, args.stems, args.precision)
    return ExitCode.DONE


def add_msst(family: str, parser: argparse.ArgumentParser) -> None:
    """The options of a family in MSST's formats."""
    from export.msst.arguments import PRECISIONS, add_arguments

    parser.set_defaults(command=partial(export_msst, family))
    add_arguments(parser, family)
    _add_export(parser, PRECISIONS)


def export_msst(family: str, args: argparse.Namespace) -> int:
    check_folder(args.out)
    from export.msst.request import export, from_arguments

    export(from_arguments(family, args), args.out, args.stems, args.precision)
    return ExitCode.DONE


def add_combine(parser: argparse.ArgumentParser) -> None:
    from export.combine.parts import part

    parser.set_defaults(command=combine_folders)
    parser.add_argument(
        "parts",
        metavar="STEMS=FOLDER",
        nargs="+",
        type=part,
        help="drums,bass=FOLDER: these stems of a model folder, a path or a URI; or "
        "instrumental=mix-vocals: a stem that is the mix minus others",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the model folder to write")
    parser.add_argument(
        "--name", metavar="NAME", help="of the new bag (default: those of the folders' bags, joined by +)"
    )


def combine_folders(args: argparse.Namespace) -> int:
    check_folder(args.out)
    from export.combine.combine import combine
    from separation.store.objects import Store
    from separation.store.retry import RetryPolicy

    combine(args.parts, args.name, args.out, Store(RetryPolicy.from_environment()))
    return ExitCode.DONE


def add_verify(parser: argparse.ArgumentParser) -> None:
    from export.htdemucs.arguments import BAG_HELP, add_arguments

    parser.set_defaults(command=verify_folder)
    parser.add_argument("folder", metavar="DIR", type=Path, help="the model folder")
    parser.add_argument(
        "--bag", metavar="BAG", help=f"its checkpoints: {BAG_HELP} (default: those that bag.json names)"
    )
    parser.add_argument(
        "--provider",
        choices=VERIFIED,
        default=VERIFIED[0],
        help="what runs the models (default: %(default)s)",
    )
    parser.add_argument(
        "--batches",
        type=positive_int,
        nargs="+",
        default=[],
        metavar="N",
        help="compare batches of N segments too, on the GPU with --provider cuda, else on onnxruntime's CPU",
    )
    add_arguments(parser)


def verify_folder(args: argparse.Namespace) -> int:
    from separation.models.bag_json import read_bag
    from separation.store.objects import Store
    from separation.store.retry import RetryPolicy

    store = Store(RetryPolicy.from_environment())
    bag = read_bag(args.folder, store)
    from export.htdemucs.origin import from_arguments
    from export.origin import request_of
    from export.verify import verify

    rows: dict[str, list[str]] = {}  # by origin
    for graph in bag.graphs.values():
        rows.setdefault("" if args.bag else graph.origin, []).extend(graph.rows)
    requests = [
        (from_arguments(args) if args.bag else request_of(origin, args.trust_checkpoint), names)
        for origin, names in rows.items()
    ]
    models = (model for request, names in requests for model in request.models(names))
    meets = verify(bag, models, store, args.provider, args.batches)
    return ExitCode.DONE if meets else ExitCode.SOME_ERRORS


def add_bench(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=print_bench)
    parser.add_argument(
        "--threads",
        type=positive_int,
        nargs="+",
        default=[1, 2],
        metavar="N",
        help="numbers of CPU threads, each with a table of its own (default: 1 2)",
    )
    parser.add_argument(
        "--rounds", type=positive_int, default=5, metavar="N", help="timed runs (default: %(default)s)"
    )


def print_bench(args: argparse.Namespace) -> int:
    from export.htdemucs.bench import bench

    print(bench(args.threads, args.rounds))
    return ExitCode.DONE


def add_gpu_check(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=check_gpu)


def check_gpu(args: argparse.Namespace) -> int:
    from export.gpu_check.run import gpu_check

    if why := gpu_check():
        program.print_error(why)
        return ExitCode.SOME_ERRORS
    return ExitCode.DONE


COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "bag": (add_bag, "write a model folder from a bag of HTDemucs checkpoints"),
    "scnet": (partial(add_msst, "scnet"), "write a model folder from an SCNet in MSST's formats"),
    "roformer": (
        partial(add_msst, "roformer"),
        "write a model folder from a Mel-Band RoFormer or a BS-RoFormer in MSST's formats",
    ),
    "combine": (add_combine, "write a model folder with stems of others"),
    "verify": (add_verify, "compare every row of a model folder with PyTorch"),
    "bench": (add_bench, "measure a model of full size beside PyTorch"),
    "gpu-check": (add_gpu_check, "check and measure a model of full size on this machine's GPU"),
}
LOUDNESS = ("-q", "--quiet", "-v", "-vv", "--verbose")


if __name__ == "__main__":
    sys.exit(main())
