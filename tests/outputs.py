"""An output as `jobs.separate` leaves it, written without a run: real tables, a few real stems."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from band.song import song
from jobs.pipeline import schema
from jobs.pipeline.arrow import from_row
from jobs.pipeline.cost.prices import Price
from jobs.pipeline.cost.summary import AccountRow, Cluster, Figures, Opening, Spread, Summary
from jobs.pipeline.output.tables import timing_rows, track_row
from jobs.pipeline.records import FinishedTrack
from jobs.report.facts import gather
from jobs.report.tally import STAGES
from separation.audio.encoding import Encoding, write_audio
from tests.bags import FOUR_STEMS, RULE
from tests.sounds import RATE
from tests.stores import STORE

Row = dict[str, Any]
BEGIN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ACTORS = 2
HOSTILE = (
    "<script>document.title='owned';fetch('http:/127.0.0.1:9/owned')</script>.wav",
    '"><img src=x onerror="document.title=\'owned\'">.flac',
    "'; alert(1); //.mp3",
    "two\nlines\tand a tab.wav",
    "אבג \u202egpj.exe\u202c שיר.flac",
    "long/" + "very " * 58 + "long.wav",
    "</style></title></script><svg onload=document.title='owned'>.ogg",
    "| a | table | `code` [link](javascript:alert(1)).wav",
    "{{ 7 * 7 }}{% raise %}.wav",
    "夜の歌/café ☕.mp3",
)
ERRORS = (
    ("truncated", "the header declares 4410044 bytes; the object has 1024"),
    ("not_audio", "no decoder knows it: <html><body onload=\"document.title='owned'\">404</body></html>"),
    ("corrupt", "the decoder stopped at 12.4 s"),
    ("nonfinite", "NaN or infinite samples from 3.10 s on"),
)
PROFILE = {"drums": 1.0, "bass": 0.97, "other": 1.06, "vocals": 1.02}  # of a graph's seconds per chunk


def finished_rows(
    tracks: int, seed: int = 0, stems: Sequence[str] = FOUR_STEMS, graphs: Mapping[str, str] | None = None
) -> list[Row]:
    """Tracks as the pipeline finishes them: the names of HOSTILE first, every ninth in error.

    `graphs` names what gives each stem, by default a graph of its own; stems of one share its seconds.
    """
    rng = np.random.default_rng(seed)
    names = [*HOSTILE, *(f"album {n // 12:03}/{n % 12 + 1:02} song {n}.flac" for n in range(tracks))][:tracks]
    rows, clock = [], BEGIN
    for number, name in enumerate(names):
        seconds = float(rng.gamma(9, 24))
        length = round(seconds * RATE)
        slow = 3.5 if number % 61 == 17 else 1.0
        clock += timedelta(seconds=float(seconds / 38 * slow * rng.uniform(0.5, 1.5)))
        row: Row = {
            "track_id": name,
            "uri": f"s3://music/{name}",
            "status": "ok",
            "warnings": [],
            "source_bytes": length * 2,
            "sample_rate_hz": RATE,
            "channels": 2,
            "probe_s": seconds * 0.004,
            "started_at": clock - timedelta(seconds=seconds / 12),
            "finished_at": clock,
        }
        if number % 9 == 4:
            kind, sentence = ERRORS[(number // 9) % 5 % len(ERRORS)]
            rows.append(row | {"status": "error", "error_kind": kind, "error": sentence})
            continue
        chunks = len(RULE.chunks(length))
        row |= {"length": length, "chunks": chunks, "sections": 1, "clip_factor": 1.0}
        row |= {
            "decode_s": seconds * 0.006,
            "stitch_s": seconds * 0.003,
            "write_s": seconds * 0.011,
            "upload_s": seconds * 0.004,
        }
        row["stems"] = [_stem(name, stem, chunks, slow, rng, graphs or {}) for stem in stems]
        rows.append(row)
    return rows


def _stem(
    name: str, stem: str, chunks: int, slow: float, rng: np.random.Generator, graphs: Mapping[str, str]
) -> Row:
    graph = graphs.get(stem, stem)
    sharing = max(1, list(graphs.values()).count(graph))
    infer_s = chunks * 0.085 * PROFILE.get(stem, 1.0) * slow * float(rng.uniform(0.9, 1.15)) / sharing
    return {
        "stem": stem,
        "graph": graph,
        "uri": f"file:///nowhere/stems/{name}/{stem}.wav",
        "bytes": 1_000_000,
        "peak": 0.8,
        "precision": "fp32",
        "provider": "CUDAExecutionProvider",
        "device": "NVIDIA L4",
        "node": f"node-{int(rng.integers(2))}",
        "chunks": chunks,
        "batches": chunks / 8,
        "queue_s": infer_s * 0.12,
        "infer_s": infer_s,
    }


def finished_track(row: Row) -> FinishedTrack:
    """The record of a row of `finished_rows`; an error without a kind gets one."""
    failure = {"error_kind": ERRORS[0][0], "error": ERRORS[0][1]} if row["status"] == "error" else {}
    return from_row(FinishedTrack, failure | row)


def write_tables(
    output: Path, run_id: str, rows: Sequence[Row], rows_a_file: int = 5_000, settings: str | None = None
) -> None:
    """The files that `TableWriter` would have written, the moments kept as they are in `rows`."""
    for number, start in enumerate(range(0, len(rows), rows_a_file)):
        part = rows[start : start + rows_a_file]
        finished = [finished_track(row) for row in part]
        tracks = pa.Table.from_pylist(
            [track_row(run_id, track, RATE, settings) for track in finished], schema.TRACKS
        )
        timings = [timing for track in finished for timing in timing_rows(run_id, track, RATE)]
        for table, found in (("tracks", tracks), ("timings", pa.Table.from_pylist(timings, schema.TIMINGS))):
            (output / table).mkdir(parents=True, exist_ok=True)
            pq.write_table(found, output / table / f"{run_id}-{number:05}.parquet")


def write_record(output: Path, **more: Any) -> None:
    record = {
        "run_id": "r1",
        "versions": {"stemfleet": "0.1", "ray": "2.60.0"},
        "settings": {"options": {"stems": [], "two_stems": None}},
        "plan": {"actors": ACTORS, "max_actors": ACTORS},
        **more,
    }
    output.mkdir(parents=True, exist_ok=True)
    (output / "run.json").write_text(json.dumps(record))


def write_stems(folder: Path, row: Row, voices: dict[str, np.ndarray], form: str = "wav") -> Row:
    """`row` as of a track with these stems, which are written to `folder`."""
    length = voices["mix"].shape[1]
    chunks = len(RULE.chunks(length))
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for stem in row["stems"]:
        path = folder / f"{stem['stem']}.{form}"
        write_audio(path, [voices[stem["stem"]]], length, Encoding(form), RATE)  # type: ignore[arg-type]
        share = chunks / stem["chunks"]
        seconds_of = {name: stem[name] * share for name in ("infer_s", "queue_s", "batches")}
        files.append(stem | seconds_of | {"uri": str(path), "chunks": chunks})
    stages = {f"{stage}_s": row[f"{stage}_s"] * length / row["length"] for stage in STAGES}
    return row | stages | {"length": length, "chunks": chunks, "stems": files}


def write_output(folder: Path, tracks: int = 200, seconds: float = 12.0) -> list[Row]:
    """A whole output; those of its tracks that a report samples have stems, each in another format."""
    rows = finished_rows(tracks)
    write_record(folder, price=0.98, catalogue={"tracks": tracks})
    write_tables(folder, "r1", rows, rows_a_file=60)
    places = {row["track_id"]: at for at, row in enumerate(rows)}
    music = song(0, seconds)
    formats = ("wav", "ogg", "mp3", "flac")
    for sample, form in zip(gather(str(folder), STORE).samples, formats, strict=True):
        at = places[sample.track_id]
        turned = {stem: np.roll(samples, at * RATE, axis=1) for stem, samples in music.items()}
        rows[at] = write_stems(folder / "stems" / form, rows[at], turned, form)
    write_tables(folder, "r1", rows, rows_a_file=60)
    return rows


def benchmark_summary(benchmark_id: str = "20261124T080000-abc", **cluster: Any) -> Summary:
    """What a benchmark of one CPU node might have measured; `cluster` changes the node."""
    speed = Spread(0.5, 0.4, 0.6)
    node = {"nodes": 1, "cpus": 2.0, "gpus": 0.0, "store_bytes": 1e9, "devices": ["A CPU"]}
    return Summary(
        benchmark_id=benchmark_id,
        created_at="2026-11-24T08:00:00+00:00",
        input="s3://music/",
        models="models/",
        stems=["vocals"],
        cluster=Cluster(**node | {"machines": [], "ray": "2.60.0"} | cluster),
        plan={"provider": "cpu", "actors": 1},
        connect_s=1.0,
        preflight_s=1.0,
        warm_up_s=10.0,
        openings=[Opening(0.1, 1.0, 2.0, 0.5, "A CPU", "vocals")],
        last_run=f"runs/{benchmark_id}/run-1",
        figures=Figures(
            repeats=1,
            tracks=4,
            failed=0,
            audio_s=720.0,
            mean_track_s=180.0,
            wall_s=Spread(1500.0, 1500.0, 1500.0),
            work_s=Spread(1440.0, 1440.0, 1440.0),
            x_realtime=speed,
            x_realtime_per_node=speed.median,
            x_realtime_per_device=speed.median / 2,
            device="core",
            device_utilisation=0.9,
            gpu_busy=None,
            cpu_utilisation=0.95,
            core_s_per_audio_s=4.0,
            accounted=0.99,
            stages=[
                AccountRow("phase", "work", 1440.0, None, 0.96),
                AccountRow("core", "vocals", 1400.0, 2800.0, 0.93),
            ],
            peak_bytes=3_000_000_000,
            peak_bytes_above_start=2_000_000_000,
            source_bytes=1_000_000,
            stem_bytes=2_000_000,
            net_sent_bytes=0,
            net_received_bytes=0,
            price=Price(0.1, "by hand"),
            usd_per_audio_hour=0.2,
            usd_per_1000_tracks=10.0,
        ),
    )
