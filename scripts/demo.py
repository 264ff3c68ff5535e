"""make demo: separates a small catalogue from S3 to S3 on a Ray cluster, all of it on this machine.

band --> catalogue --> S3 (moto) --> ray job submit: jobs.separate --> S3 --> ./demo
"""

import argparse
import contextlib
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from local_cluster import ROOT, LocalError, Workbench, bucket_files, ray_head, s3_server, submit, workbench
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

RESULT = ROOT / "demo"
BUCKET = "demo"
BAG = ROOT / "band/bag"  # the demonstration bag, trained on songs like those of the catalogue
BROKEN = "broken/not really audio.mp3"  # as python -m band --broken names it
TABLE_COLUMNS = 110  # where the output is a log and not a terminal
console = Console(highlight=False, width=None if sys.stdout.isatty() else TABLE_COLUMNS)


class DemoError(Exception):
    """A result that is not the expected one; the message is a sentence."""


@contextlib.contextmanager
def step(name: str, times: dict[str, float]) -> Iterator[None]:
    """Prints `name` and enters the seconds of the block into `times`."""
    console.print(f"[bold]{name}[/bold]")
    start = time.perf_counter()
    yield
    times[name] = time.perf_counter() - start


def copy_models(bench: Workbench, models: str) -> Path:
    """Copies the model folder at path or URI `models` into the workbench; its path there."""
    folder = bench.home / "models"
    files, path = fsspec.url_to_fs(models)
    if not files.exists(f"{path.rstrip('/')}/bag.json"):
        raise DemoError(f"--models {models}: expected a model folder with a bag.json (python -m export)")
    files.get(f"{path.rstrip('/')}/", f"{folder}/", recursive=True)
    return folder


def show(folder: Path) -> None:
    """Prints both tables of an output folder, with the columns that fit a terminal."""
    tracks = pq.read_table(folder / "tracks").sort_by("track_id")
    columns = ("track_id", "status", "duration_s", "sample_rate_hz", "channels", "chunks", "error_kind")
    console.print(as_table("tracks", tracks.select(columns)))
    timings = pq.read_table(folder / "timings").sort_by([("track_id", "ascending"), ("stem", "ascending")])
    columns = ("track_id", "stem", "peak", "bytes", "queue_s", "infer_s", "x_realtime")
    providers = ", ".join(timings["provider"].unique().to_pylist())
    console.print(as_table(f"timings, by {providers}", timings.select(columns)))


def as_table(title: str, rows: pa.Table) -> Table:
    """`rows`, which are grouped by their first column; its value is shown once per group."""
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for field in rows.schema:
        text = pa.types.is_string(field.type)
        table.add_column(field.name, justify="left" if text else "right", no_wrap=True)
    group = None
    for row in rows.to_pylist():
        first, *others = row.values()
        table.add_row("" if first == group else first, *map(as_cell, others))
        group = first
    return table


def as_cell(value: object) -> str:
    """Empty for None, three decimals for a float."""
    return "" if value is None else f"{value:,.3f}" if isinstance(value, float) else str(value)


def check(folder: Path, code: int, expected: list[str] | None) -> None:
    """Raises a DemoError unless `expected` (None: any) are the tracks in error and all others have stems."""
    tracks = pq.read_table(folder / "tracks")
    errors = tracks.filter(pc.field("status") != "ok")["track_id"].to_pylist()
    if code != bool(errors) or (expected is not None and errors != expected):
        raise DemoError(f"exit code {code}, tracks in error {errors}; expected {expected}")
    for track in tracks.filter(pc.field("status") == "ok")["track_id"].to_pylist():
        if not any((folder / "stems" / track).iterdir()):
            raise DemoError(f"{track}: ok in the tables, but without stems in {folder / 'stems'}")


def demo(models: str, catalogue: Path | None) -> None:
    """Separates `catalogue`, or songs made here, with the model folder `models`, and checks the results."""
    times: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        bench = stack.enter_context(workbench())
        with step("copy the model folder", times):
            folder = copy_models(bench, models)
        shutil.rmtree(RESULT, ignore_errors=True)
        if catalogue:
            shutil.copytree(catalogue, RESULT / "catalogue")
        else:
            with step("write a catalogue of seeded songs", times):
                options = ["--tracks", "7", "--seconds", "15-40", "--broken"]
                bench.finish([sys.executable, "-m", "band", "--out", str(RESULT / "catalogue"), *options])
        with step("start an S3 server and upload both", times):
            aws = stack.enter_context(s3_server(bench, BUCKET))
            files = bucket_files(aws)
            files.put(f"{RESULT / 'catalogue'}/", f"{BUCKET}/catalogue/", recursive=True)
            files.put(f"{folder}/", f"{BUCKET}/models/", recursive=True)
        with step("start a Ray head", times):
            address = stack.enter_context(ray_head(bench, aws))
        with step("run the job", times):
            entrypoint = ["python", "-m", "jobs.separate"]
            for option, name in (("--input", "catalogue"), ("--output", "output"), ("--models", "models")):
                entrypoint += [option, f"s3://{BUCKET}/{name}"]
            entrypoint += ["--cache", str(bench.home / "cache")]
            code = submit(bench, address, entrypoint)
            if code not in (0, 1):
                raise DemoError(f"jobs.separate exited with {code}; its log is above")
        with step("download stems and tables", times):
            files.get(f"{BUCKET}/output/", f"{RESULT}/", recursive=True)
        show(RESULT)
        check(RESULT, code, None if catalogue else [BROKEN])
        with step("stop Ray and the S3 server", times):
            stack.close()
    console.print("\n".join(f"{seconds:6.1f} s  {name}" for name, seconds in times.items()))
    console.print(
        f"listen: the mixes are in {RESULT / 'catalogue'}, the stems in {RESULT / 'stems'}", soft_wrap=True
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--models", metavar="URI", default=str(BAG), help="a model folder (default: the demonstration bag)"
    )
    parser.add_argument(
        "--catalogue", type=Path, metavar="DIR", help="your own tracks (default: seeded songs)"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it cleans up as Ctrl-C does
    try:
        demo(options.models, options.catalogue)
    except (DemoError, LocalError) as error:
        console.print(f"demo: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("demo: interrupted; everything it started has been stopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
