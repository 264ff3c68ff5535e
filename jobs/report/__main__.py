"""python -m jobs.report: an output's tables -> a page about a job, finished or running, or a benchmark.

Needs no Ray and no catalogue: it reads the tables, run.json and the stems of a few tracks.
"""

import argparse
import sys
from collections.abc import Sequence

from jobs.pipeline.arguments import uri
from jobs.report import markdown, page
from jobs.report.facts import gather
from jobs.report.listening import listen
from separation.errors import SeparationError
from separation.store.objects import join, put_bytes
from separation.store.redact import shown

DONE, STOPPED = 0, 2


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    output = args.output.rstrip("/")
    target = args.to or join(output, f"report.{args.format}")
    try:
        put_bytes(report(output, args.format, args.price).encode(), target)
    except SeparationError as error:
        print(f"stopped: {shown(str(error))}")
        return STOPPED
    print(f"report: {shown(target)}")
    return DONE


def report(output: str, form: str, price: float | None = None) -> str:
    facts = gather(output, price)
    if form == "md":
        return markdown.render(facts)
    return page.render(facts, [listen(track) for track in facts.samples])


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.report",
        description="Writes a page about an output: throughput, where the time went, errors, tracks to hear.",
    )
    parser.add_argument(
        "--output", required=True, type=uri, metavar="URI", help="of jobs.separate or jobs.benchmark"
    )
    parser.add_argument(
        "--format", choices=("html", "md"), default="html", help="md has no sounds (%(default)s)"
    )
    parser.add_argument(
        "--price", type=float, metavar="USD", help="of a node-hour, where run.json has none or another"
    )
    parser.add_argument(
        "--to",
        type=uri,
        metavar="PATH",
        help="path or URI of the report (report.html or report.md at the output)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
