"""Sums over the tables of an output, one pair of files at a time."""

import hashlib
import heapq
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.pipeline.stem_order import stem_order
from jobs.report.entries import GraphUse, NodeUse, Run, SampleTrack, SlowTrack
from jobs.report.findings import Findings

STAGES = ("probe", "decode", "stitch", "write")  # those of `tracks`, each with a column `<stage>_s`
TRACKS_READ = [
    *(
        "run_id",
        "track_id",
        "uri",
        "status",
        "error_kind",
        "error",
        "duration_s",
        "chunks",
        "clip_factor",
        "warnings",
    ),
    *(f"{stage}_s" for stage in STAGES),
    *("started_at", "finished_at"),
]
TIMINGS_READ = [
    *("run_id", "track_id", "stem", "graph", "uri", "provider", "device", "node", "chunks", "queue_s"),
    "infer_s",
]

SLOWEST = 12  # tracks listed
SAMPLES = 4  # tracks
LONG_S = 900.0  # a longer track is a sample only if there are too few shorter ones


@dataclass(frozen=True, slots=True)
class Finished:
    """The finished tracks of one run: arrays (tracks,)."""

    at_us: np.ndarray  # int64, microseconds since 1970
    audio_s: np.ndarray  # float32, NaN for a track in error


class Tally:
    def __init__(self) -> None:
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._runs: dict[str, Run] = {}
        self._nodes: dict[tuple[str, str], tuple[int, datetime]] = {}  # run, node -> tracks, last one's end
        self._graphs: dict[tuple[str, str, str], GraphUse] = {}
        self._finished: dict[str, list[Finished]] = {}  # by run
        self._chunk_s: list[np.ndarray] = [np.empty(0, np.float32)]
        self._slowest: list[tuple[float, str, SlowTrack]] = []
        self.errors, self.warnings = Findings(), Findings()
        self._samples: list[tuple[tuple[bool, str], SampleTrack]] = []

    def add(self, tracks: pa.Table, timings: pa.Table) -> None:
        """Counts rows of `tracks`, and those rows of `timings` that belong to them."""
        timings = timings.filter(pc.is_in(timings["track_id"], value_set=tracks["track_id"]))
        timings = _with_graphs(timings)
        good = tracks.filter(pc.equal(tracks["status"], "ok"))
        bad = tracks.filter(pc.not_equal(tracks["status"], "ok"))
        self._add_runs(tracks, timings)
        self._add_finished(tracks)
        for stage in STAGES:
            self.stages[stage] += pc.sum(tracks[f"{stage}_s"]).as_py() or 0.0
        self._add_graphs(good, timings)
        self._add_slowest(good, timings)
        self.errors.add_errors(bad)
        self.warnings.add_warnings(good)
        self._add_samples(good, timings)

    def _add_runs(self, tracks: pa.Table, timings: pa.Table) -> None:
        ok = pc.equal(tracks["status"], "ok")
        columns = {
            "run_id": tracks["run_id"],
            "started_at": pc.coalesce(tracks["started_at"], tracks["finished_at"]),
            "finished_at": tracks["finished_at"],
            "ok": pc.cast(ok, pa.int64()),
            "audio_s": pc.if_else(ok, tracks["duration_s"], 0.0),
        }
        wanted = [
            ("started_at", "min"),
            ("finished_at", "max"),
            ("ok", "sum"),
            ("ok", "count"),
            ("audio_s", "sum"),
        ]
        for row in pa.table(columns).group_by("run_id").aggregate(wanted).to_pylist():
            start, end = row["started_at_min"], row["finished_at_max"]
            run = self._runs.setdefault(row["run_id"], Run(row["run_id"], start, end))
            run.started_at, run.ended_at = min(run.started_at, start), max(run.ended_at, end)
            run.done += row["ok_sum"]
            run.failed += row["ok_count"] - row["ok_sum"]
            run.audio_s += row["audio_s_sum"] or 0.0
        self._add_nodes(tracks, timings)

    def _add_nodes(self, tracks: pa.Table, timings: pa.Table) -> None:
        inferred = timings.filter(pc.is_valid(timings["node"])).select(["run_id", "node", "track_id"])
        index = pc.index_in(inferred["track_id"], value_set=tracks["track_id"])
        inferred = inferred.append_column("at", tracks["finished_at"].take(index))
        wanted = [("track_id", "count_distinct"), ("at", "max")]
        for row in inferred.group_by(["run_id", "node"]).aggregate(wanted).to_pylist():
            if row["run_id"] in self._runs:
                self._runs[row["run_id"]].nodes.add(row["node"])
                key = row["run_id"], row["node"]
                count, at = self._nodes.get(key, (0, row["at_max"]))
                self._nodes[key] = count + row["track_id_count_distinct"], max(at, row["at_max"])

    def _add_finished(self, tracks: pa.Table) -> None:
        for run_id in pc.unique(tracks["run_id"]).to_pylist():
            rows = tracks.filter(pc.equal(tracks["run_id"], run_id))
            at_us = rows["finished_at"].cast(pa.int64()).to_numpy()
            audio_s = pc.if_else(pc.equal(rows["status"], "ok"), rows["duration_s"], None).to_numpy()
            self._finished.setdefault(run_id, []).append(Finished(at_us, audio_s.astype(np.float32)))

    def _add_graphs(self, tracks: pa.Table, timings: pa.Table) -> None:
        """Stems of one graph share its seconds, and each names all of its chunks."""
        keys = ["graph", "provider", "device"]
        inferred = timings.filter(pc.is_valid(timings["infer_s"]))  # a rest of the mix has no graph
        per_track = inferred.group_by(["track_id", *keys]).aggregate(
            [("infer_s", "sum"), ("queue_s", "sum"), ("chunks", "max")]
        )
        index = pc.index_in(per_track["track_id"], value_set=tracks["track_id"])
        per_track = per_track.append_column("audio_s", tracks["duration_s"].take(index))
        sums = ("chunks_max", "infer_s_sum", "queue_s_sum", "audio_s")
        for row in (
            per_track.group_by(keys)
            .aggregate([("track_id", "count"), *((name, "sum") for name in sums)])
            .to_pylist()
        ):
            graph = self._graph(row)
            graph.tracks += row["track_id_count"]
            graph.chunks += row["chunks_max_sum"] or 0
            graph.infer_s += row["infer_s_sum_sum"] or 0.0
            graph.queue_s += row["queue_s_sum_sum"] or 0.0
            graph.audio_s += row["audio_s_sum"] or 0.0
        for row in inferred.group_by([*keys, "stem"]).aggregate([]).to_pylist():
            graph = self._graph(row)
            graph.stems = tuple(sorted({*graph.stems, row["stem"]}, key=stem_order))

    def _graph(self, row: dict[str, Any]) -> GraphUse:
        key = row["graph"], row["provider"] or "unknown", row["device"] or "unknown"
        return self._graphs.setdefault(key, GraphUse(*key))

    def _add_slowest(self, tracks: pa.Table, timings: pa.Table) -> None:
        tracks = tracks.filter(pc.greater(pc.coalesce(tracks["chunks"], 0), 0))
        infer = timings.group_by("track_id").aggregate([("infer_s", "sum")])
        index = pc.index_in(tracks["track_id"], value_set=infer["track_id"])
        work = pc.fill_null(infer["infer_s_sum"].take(index), 0.0).to_numpy()
        for stage in STAGES:
            work = work + pc.fill_null(tracks[f"{stage}_s"], 0.0).to_numpy()
        chunk_s = work / tracks["chunks"].to_numpy()
        self._chunk_s.append(chunk_s.astype(np.float32))
        for at in np.argsort(-chunk_s, kind="stable")[:SLOWEST]:
            row = tracks.slice(int(at), 1).to_pylist()[0]
            entry = chunk_s[at], row["track_id"]
            if len(self._slowest) == SLOWEST and entry <= self._slowest[0][:2]:
                break
            slow = _slow_track(row, float(work[at]), _rows_of(timings, row["track_id"]))
            push = heapq.heappush if len(self._slowest) < SLOWEST else heapq.heappushpop
            push(self._slowest, (*entry, slow))

    def _add_samples(self, tracks: pa.Table, timings: pa.Table) -> None:
        """Keeps the tracks whose ids hash lowest: always the same ones, from all over the catalogue."""
        ids, lengths = tracks["track_id"].to_pylist(), tracks["duration_s"].to_pylist()
        keys = [
            ((length > LONG_S, hashlib.sha256(track_id.encode()).hexdigest()), at)
            for at, (track_id, length) in enumerate(zip(ids, lengths, strict=True))
        ]
        for key, at in heapq.nsmallest(SAMPLES, keys):
            stems = {row["stem"]: row["uri"] for row in _rows_of(timings, ids[at]) if row["uri"]}
            stems = {stem: stems[stem] for stem in sorted(stems, key=stem_order)}
            factor = tracks["clip_factor"][at].as_py() or 1.0
            self._samples.append((key, SampleTrack(ids[at], lengths[at], factor, stems)))
        self._samples = sorted(self._samples, key=lambda sample: sample[0])[:SAMPLES]

    def runs(self) -> list[Run]:
        """In the order of time."""
        return sorted(self._runs.values(), key=lambda run: (run.started_at, run.run_id))

    def nodes(self) -> list[NodeUse]:
        """Of all runs, the longest silent before its run's end first."""
        found = [
            NodeUse(node, run_id, count, at, (self._runs[run_id].ended_at - at).total_seconds())
            for (run_id, node), (count, at) in self._nodes.items()
        ]
        return sorted(found, key=lambda use: (-use.silent_s, use.run_id, use.node))

    def graphs(self) -> list[GraphUse]:
        return sorted(self._graphs.values(), key=lambda g: (*stem_order(g.graph), g.provider, g.device))

    def finished(self) -> dict[str, Finished]:
        """By run id."""
        return {
            run_id: Finished(
                np.concatenate([part.at_us for part in parts]),
                np.concatenate([part.audio_s for part in parts]),
            )
            for run_id, parts in self._finished.items()
        }

    def slowest(self) -> list[SlowTrack]:
        """The slowest first, by seconds of work per chunk."""
        return [slow for *_, slow in sorted(self._slowest, key=lambda entry: entry[:2], reverse=True)]

    def median_chunk_s(self) -> float | None:
        chunk_s = np.concatenate(self._chunk_s)
        return float(np.median(chunk_s)) if len(chunk_s) else None

    def samples(self) -> list[SampleTrack]:
        return [sample for _, sample in self._samples]


def _with_graphs(timings: pa.Table) -> pa.Table:
    """Tables from before there was a column `graph` have a graph per stem, of the same name."""
    graphs = pc.coalesce(timings["graph"], timings["stem"])
    return timings.set_column(timings.column_names.index("graph"), "graph", graphs)


def _rows_of(timings: pa.Table, track_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = timings.filter(pc.equal(timings["track_id"], track_id)).to_pylist()
    return rows


def _slow_track(row: dict[str, Any], work_s: float, stems: list[dict[str, Any]]) -> SlowTrack:
    """From a row of `tracks` and its rows of `timings`."""
    steps = {stage: row[f"{stage}_s"] or 0.0 for stage in STAGES}
    for stem in stems:
        name = f"graph {stem['graph']}"
        steps[name] = steps.get(name, 0.0) + (stem["infer_s"] or 0.0)
    longest = max(steps, key=lambda step: steps[step])
    return SlowTrack(row["track_id"], row["duration_s"], row["chunks"], work_s, longest, steps[longest])
