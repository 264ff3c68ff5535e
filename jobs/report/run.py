"""The report from its arguments to the page."""

import argparse
import os

from jobs.report import markdown
from jobs.report.facts import gather
from jobs.report.listening import listen
from jobs.report.page import render
from separation.arguments import check_folder
from separation.audio.decoder_process.pool import DecoderPool
from separation.console import LineConsole
from separation.program import ExitCode
from separation.store.filesystems import join
from separation.store.objects import Store


def write_report(args: argparse.Namespace, console: LineConsole, store: Store) -> int:
    output = args.output.rstrip("/")
    target = args.to or join(output, f"report.{args.format}")
    check_folder(os.path.dirname(target) or ".")
    store.put_bytes(report(output, args.format, store, args.price).encode(), target)
    console.result(f"report: {target}")
    return ExitCode.DONE


def report(output: str, form: str, store: Store, price: float | None = None) -> str:
    """The page about `output` as HTML or as Markdown (`form` is html or md)."""
    facts = gather(output, store, price)
    if form == "md":
        return markdown.render(facts)
    with DecoderPool() as decoders:
        return render.render(facts, [listen(track, store, decoders) for track in facts.samples])
