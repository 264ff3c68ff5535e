"""python -m jobs.evaluate: estimated stems against true ones -> SDR and SI-SDR, on a Ray cluster.

Exit codes: 0, every stem has been scored; 1, some could not be, and the others were; 2, it refused to start
or had to stop, and can be run again.
"""

import argparse
import sys
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray
from ray.exceptions import RayError
from rich.console import Console

from jobs.evaluate import score_table, scoring
from jobs.evaluate.layout import BASELINE, find_tracks, pair
from jobs.pipeline import dataset
from jobs.pipeline.arrow import Row
from jobs.pipeline.driver import TracksMissing
from jobs.pipeline.progress import Progress
from jobs.separate.__main__ import DONE, EXAMPLES, SOME_ERRORS, STOPPED, cause
from separation.contract import SAMPLE_RATE, STEMS
from separation.errors import SeparationError, UsageError
from separation.store.objects import join, put_bytes


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True, markup=False)
    try:
        return evaluate(args, console)
    except (SeparationError, RayError) as error:
        console.print(f"stopped: {cause(error)}")
        return STOPPED
    except Exception:  # Python's own exit code would be 1, which says that the job ran to its end
        console.print_exception()
        return STOPPED


def evaluate(args: argparse.Namespace, console: Console) -> int:
    stems = wanted_stems(args.stems)
    sets = {name: find_tracks(uri) for name, uri in named(args.estimates, args.baseline).items()}
    pairs, found = pair(find_tracks(args.reference), sets, args.baseline)
    for name, tracks in sets.items():
        others = len(tracks) - found[name]
        passed_over = f"; {others} others passed over" if others else ""
        console.print(f"{name}: {found[name]} of {len(pairs)} tracks{passed_over}")
    ray.init(logging_level="warning", log_to_driver=False)
    scores = score(pairs, stems, console)
    names = [estimate["name"] for estimate in pairs[0]["estimates"]]
    for metric in scoring.METRICS:
        console.print(
            score_table.as_table(metric, score_table.summarize(scores, metric, names, stems), len(pairs))
        )
    if args.output:
        target = join(args.output, "scores.parquet")
        put_table(scores, target)
        console.print(f"scores: {target}")
    return SOME_ERRORS if show_errors(scores, console) else DONE


def score(pairs: list[Row], stems: Sequence[str], console: Console) -> pa.Table:
    """`scoring.PAIRS` -> `scoring.SCORES`, a task a track; in the order of tracks and estimates."""
    dataset.configure()
    by_track: dict[str, list[Row]] = {}
    tracks = (
        ray.data.from_arrow(scoring.as_table(pairs))
        .repartition(target_num_rows_per_block=1)
        .map_batches(scoring.score, batch_format="pyarrow", fn_kwargs={"stems": stems}, num_cpus=1)
    )
    with Progress(len(pairs), console) as progress:
        for row in dataset.iterate(tracks):
            by_track.setdefault(row["track_id"], []).append(row)
            whole = by_track[row["track_id"]]
            if len(whole) == len(pairs[0]["estimates"]) * len(stems) * len(scoring.METRICS):
                progress.add(_as_one(whole))
    if missing := [pair["track_id"] for pair in pairs if pair["track_id"] not in by_track]:
        raise TracksMissing(len(missing), missing[0])
    rows = [row for pair in pairs for row in by_track[pair["track_id"]]]
    return pa.Table.from_pylist(rows, scoring.SCORES)


def _as_one(rows: list[Row]) -> Row:
    """A track's rows as `Progress` counts them."""
    length = max(round((row["duration_s"] or 0.0) * SAMPLE_RATE) for row in rows)
    return {"status": "error" if any(row["status"] == "error" for row in rows) else "ok", "length": length}


def show_errors(scores: pa.Table, console: Console) -> int:
    """How many stems could not be scored; prints a few of them."""
    errors = scores.filter((pc.field("status") == "error") & (pc.field("metric") == scoring.METRICS[0]))
    if errors.num_rows:
        console.print(f"{errors.num_rows} stems could not be scored:")
    for row in errors.slice(0, EXAMPLES).to_pylist():
        console.print(f"  {row['estimates']}, {row['track_id']!r}, {row['stem']}: {row['reason']}")
    if errors.num_rows > EXAMPLES:
        console.print(f"  and {errors.num_rows - EXAMPLES} more")
    return errors.num_rows


def put_table(table: pa.Table, uri: str) -> None:
    data = pa.BufferOutputStream()
    pq.write_table(table, data)
    put_bytes(data.getvalue().to_pybytes(), uri)


def wanted_stems(text: str) -> tuple[str, ...]:
    stems = tuple(stem for stem in text.split(",") if stem)
    if unknown := [stem for stem in stems if stem not in STEMS]:
        raise UsageError(f"--stems: {', '.join(unknown)}; expected some of {', '.join(STEMS)}")
    return stems or STEMS


def named(arguments: Sequence[str], baseline: bool) -> dict[str, str]:
    """`NAME=URI` or `URI`, which is called by its last step -> name: URI."""
    sets: dict[str, str] = {}
    for argument in arguments:
        name, equals, uri = argument.partition("=")
        if not equals or "/" in name:  # s3://bucket/rate=44100/ has no name
            name, uri = argument.rstrip("/").rpartition("/")[2], argument
        if name in sets or (baseline and name == BASELINE):
            raise UsageError(f"two estimates are called {name!r}: give another as NAME=URI")
        sets[name] = uri
    return sets


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m jobs.evaluate",
        description="Scores stems against the true ones on a Ray cluster: museval's SDR, and SI-SDR.",
        epilog="Exit codes: 0 every stem scored; 1 some could not be; 2 refused or stopped, run again.",
    )
    parser.add_argument(
        "--reference",
        required=True,
        metavar="URI",
        help="the true stems: folders as MUSDB18-HQ has them, or an output of jobs.separate",
    )
    parser.add_argument(
        "--estimates",
        required=True,
        action="append",
        metavar="[NAME=]URI",
        help="an output of jobs.separate, or folders as the reference's; give several to compare them",
    )
    parser.add_argument(
        "--baseline", action="store_true", help=f"score the mixture too, as estimates called {BASELINE}"
    )
    parser.add_argument("--stems", default="", metavar="A,B", help="only these stems (all four)")
    parser.add_argument("--output", metavar="URI", help="folder for scores.parquet (only printed)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
