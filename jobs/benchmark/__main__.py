"""python -m jobs.benchmark: what an hour of audio costs on this cluster, and where the time goes.

Runs the pipeline of `jobs.separate` over a catalogue: a warm-up, then repeats. The last line on stdout
is the summary as JSON; it and a table of stages stay at the output, below `benchmarks/`.
"""

import argparse
import sys
from collections.abc import Sequence

from separation import program
from separation.arguments import non_negative_float, positive_float, positive_int, seconds_range, uri

PROG = "python -m jobs.benchmark"


def main(arguments: Sequence[str] | None = None, prog: str = PROG) -> int:
    return program.run(parser, work, arguments, prog)


def parser(prog: str = PROG) -> argparse.ArgumentParser:
    from jobs.pipeline import job_request
    from jobs.pipeline.cost.projection import WITHIN_HOURS

    parser = program.Parser(
        prog=prog,
        description="Measures what an hour of audio costs on a Ray cluster, and where the time goes.",
        epilog="The last line on stdout is the summary as JSON. Exit codes as of jobs.separate.",
    )
    parser.add_argument(
        "--models", type=uri, metavar="URI", help="a model folder (see python -m export), or demo"
    )
    parser.add_argument(
        "--output", type=uri, metavar="URI", help="folder for the figures and the last run's stems"
    )
    parser.add_argument(
        "--repeats", type=positive_int, default=1, metavar="N", help="timed runs (default: %(default)s)"
    )
    parser.add_argument("--sweep", action="store_true", help="try a few settings and recommend one")
    tracks = parser.add_argument_group("tracks", "given, or synthesised below the output")
    tracks.add_argument("--input", type=uri, metavar="URI", help="a prefix, a glob, or a manifest")
    tracks.add_argument(
        "--tracks", type=positive_int, default=7, metavar="N", help="songs to write (default: %(default)s)"
    )
    tracks.add_argument(
        "--seconds",
        type=seconds_range,
        default=(30.0, 60.0),
        metavar="A-B",
        help="shortest and longest song in seconds (default: 30-60)",
    )
    tracks.add_argument(
        "--codecs", default="", metavar="A,B", help="their file name extensions (default: all of band's)"
    )
    compare = parser.add_argument_group("comparison")
    compare.add_argument(
        "--compare",
        choices=["demucs", "all"],
        help="run demucs over the same tracks and cores too, or all stems where --stems has some",
    )
    compare.add_argument(
        "--compare-models",
        type=uri,
        metavar="URI",
        help="run the models of this folder over the same tracks too",
    )
    compare.add_argument(
        "--bag",
        metavar="WORDS",
        help="the checkpoints, as after python -m export bag (default: those that bag.json names)",
    )
    compare.add_argument("--trust-checkpoint", action="store_true", help="as in python -m export bag")
    money = parser.add_argument_group("money")
    money.add_argument("--instance", metavar="NAME", help="instance of prices.json that a node is")
    money.add_argument(
        "--price",
        type=non_negative_float,
        metavar="USD",
        help="price of a node-hour, instead of that in prices.json",
    )
    money.add_argument(
        "--project",
        metavar="HOURS",
        help="cost of a catalogue of HOURS of audio, or of TRACKSxMINUTES; without --models it is computed "
        "from --x-realtime or the output's last benchmark",
    )
    money.add_argument(
        "--x-realtime",
        action="append",
        default=[],
        metavar="INSTANCE=X",
        help="a stated throughput of a node, in seconds of audio per second",
    )
    money.add_argument(
        "--within",
        type=positive_float,
        default=WITHIN_HOURS,
        metavar="HOURS",
        help="how long the catalogue may take (default: %(default)g)",
    )
    job_request.add_arguments(parser)
    return parser


def work(args: argparse.Namespace, quiet: bool) -> int:
    from jobs.benchmark.run import run
    from separation.console import LineConsole
    from separation.store.objects import Store
    from separation.store.retry import RetryPolicy

    return run(args, LineConsole(quiet=quiet), Store(RetryPolicy.from_environment()))


if __name__ == "__main__":
    sys.exit(main())
