"""The report from its arguments to the page."""

import argparse
import os
from collections.abc import Callable, Sequence

import pyarrow as pa

from jobs.report import errors_csv, markdown
from jobs.report.errors_csv import ErrorsFile
from jobs.report.facts import gather
from jobs.report.listening import listen
from jobs.report.page import render
from jobs.report.page.track_rows import TrackRows
from separation.arguments import check_folder
from separation.audio.decoder_process.pool import DecoderPool
from separation.console import LineConsole, counted
from separation.errors import UsageError
from separation.program import ExitCode
from separation.store.filesystems import join
from separation.store.objects import Store


def write_report(args: argparse.Namespace, console: LineConsole, store: Store) -> int:
    output = args.output.rstrip("/")
    target = args.to or join(output, f"report.{args.format}")
    check_folder(os.path.dirname(target) or ".")
    if os.path.basename(target) == errors_csv.NAME:
        raise UsageError(f"--to {target}: that is the list of errors beside the page; give another name")
    if args.interactive and args.format != "html":
        raise UsageError("--interactive needs --format html: Markdown has no script")
    tracks = TrackRows() if args.interactive else None
    with ErrorsFile() as errors:
        page = report(output, args.format, store, args.price, [errors.add], os.path.dirname(target), tracks)
        errors.publish(errors_csv.beside(target), store)
    store.put_bytes(page.encode(), target)
    console.result(f"report: {target}")
    console.result(f"errors: {errors_csv.beside(target)} ({counted(errors.tracks, 'track')})")
    return ExitCode.DONE


def report(
    output: str,
    form: str,
    store: Store,
    price: float | None = None,
    also: Sequence[Callable[[pa.Table], None]] = (),
    page_folder: str | None = None,
    tracks: TrackRows | None = None,
) -> str:
    """The page about `output` as HTML or as Markdown (`form` is html or md); `also` as for `gather`.

    The page is to stand in `page_folder`, by default at the output. `tracks` is filled, and shown as a table
    that can be sorted, searched and filtered.
    """
    facts = gather(output, store, price, [*also, *([tracks.add] if tracks else [])])
    if form == "md":
        return markdown.render(facts)
    with DecoderPool() as decoders:
        samples = [listen(track, store, decoders) for track in facts.samples]
    return render.render(facts, samples, output if page_folder is None else page_folder or ".", tracks)
