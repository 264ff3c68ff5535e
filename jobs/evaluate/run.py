"""The evaluation from its arguments to its scores: tracks paired, scored on the cluster, summarised."""

import argparse
from collections.abc import Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray

from jobs.evaluate import score_table, scoring
from jobs.evaluate.layout import BASELINE, Pair, choose_stems, find_tracks, pair
from jobs.pipeline import dataset, ray_session
from jobs.pipeline.arrow import Row
from jobs.pipeline.driver import TracksMissing
from jobs.pipeline.progress import Counts, Events, Progress
from separation.arguments import check_folder
from separation.console import LineConsole
from separation.errors import UsageError
from separation.program import ExitCode
from separation.store.filesystems import join
from separation.store.objects import Store

EXAMPLES = 5  # of the stems that could not be scored; scores.parquet has all


def evaluate(args: argparse.Namespace, console: LineConsole, store: Store) -> int:
    wanted = tuple(dict.fromkeys(stem for stem in args.stems.split(",") if stem))
    if args.output:
        check_folder(args.output)
    sets = {name: find_tracks(uri, store) for name, uri in named(args.estimates, args.baseline).items()}
    pairs, found = pair(find_tracks(args.reference, store), sets, args.baseline)
    stems = choose_stems(pairs, wanted)
    for name, tracks in sets.items():
        others = len(tracks) - found[name]
        passed_over = f"; {others} others passed over" if others else ""
        console.print(f"{name}: {found[name]} of {len(pairs)} tracks{passed_over}")
    with ray_session.connect():
        scores = score(pairs, stems, console, store)
    names = list(pairs[0].estimates)
    for metric in scoring.METRICS:
        console.result(
            score_table.as_table(metric, score_table.medians(scores, metric, names, stems), len(pairs))
        )
    if args.output:
        target = join(args.output, "scores.parquet")
        put_table(scores, target, store)
        console.result(f"scores: {target}")
    return ExitCode.SOME_ERRORS if show_errors(scores, console) else ExitCode.DONE


def score(pairs: list[Pair], stems: Sequence[str], console: LineConsole, store: Store) -> pa.Table:
    """`scoring.SCORES` in the order of tracks and estimates, by one task per track."""
    dataset.configure()
    by_track: dict[str, list[Row]] = {}
    tracks = (
        ray.data.from_arrow(scoring.pairs_table(pairs))
        .repartition(target_num_rows_per_block=1)
        .map_batches(partial(scoring.score, stems=stems, store=store), batch_format="pyarrow", num_cpus=1)
    )
    with Progress(Counts(len(pairs)), Events(console)) as progress:
        for row in dataset.iterate(tracks):
            by_track.setdefault(row["track_id"], []).append(row)
            whole = by_track[row["track_id"]]
            if len(whole) == len(pairs[0].estimates) * len(stems) * len(scoring.METRICS):
                progress.add(_audio_s(whole))
    if missing := [pair.track_id for pair in pairs if pair.track_id not in by_track]:
        raise TracksMissing(len(missing), missing[0])
    rows = [row for pair in pairs for row in by_track[pair.track_id]]
    return pa.Table.from_pylist(rows, scoring.SCORES)


def _audio_s(rows: list[Row]) -> float | None:
    """A track's rows as `Progress` counts them: its seconds, None if one of them is in error."""
    if any(row["status"] == "error" for row in rows):
        return None
    return float(max(row["duration_s"] or 0.0 for row in rows))


def show_errors(scores: pa.Table, console: LineConsole) -> int:
    """How many stems could not be scored; prints a few of them."""
    errors = scores.filter((pc.field("status") == "error") & (pc.field("metric") == scoring.METRICS[0]))
    if errors.num_rows:
        console.result(f"{errors.num_rows} stems could not be scored:")
    for row in errors.slice(0, EXAMPLES).to_pylist():
        console.result(f"  {row['estimates']}, {row['track_id']!r}, {row['stem']}: {row['reason']}")
    if errors.num_rows > EXAMPLES:
        console.result(f"  and {errors.num_rows - EXAMPLES} more")
    count: int = errors.num_rows
    return count


def put_table(table: pa.Table, uri: str, store: Store) -> None:
    data = pa.BufferOutputStream()
    pq.write_table(table, data)
    store.put_bytes(data.getvalue().to_pybytes(), uri)


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
