"""The report from its arguments to the page."""

import argparse
import os

from jobs.report import markdown, page
from jobs.report.facts import gather
from jobs.report.listening import listen
from separation.arguments import check_folder
from separation.console import LineConsole
from separation.program import ExitCode
from separation.store.objects import join, put_bytes


def write_report(args: argparse.Namespace, console: LineConsole) -> int:
    output = args.output.rstrip("/")
    target = args.to or join(output, f"report.{args.format}")
    check_folder(os.path.dirname(target) or ".")
    put_bytes(report(output, args.format, args.price).encode(), target)
    console.result(f"report: {target}")
    return ExitCode.DONE


def report(output: str, form: str, price: float | None = None) -> str:
    """The page about `output` as HTML or as Markdown (`form` is html or md)."""
    facts = gather(output, price)
    if form == "md":
        return markdown.render(facts)
    return page.render(facts, [listen(track) for track in facts.samples])
