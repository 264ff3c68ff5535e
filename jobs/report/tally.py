"""Sums over the tables, a pair of files at a time."""

import hashlib
import heapq
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from separation.contract import STEMS

STAGES = ("probe", "decode", "stitch", "write")  # those of `tracks`, each with a column `<stage>_s`
TRACKS_READ = [
    *("run_id", "track_id", "status", "error_kind", "error", "duration_s", "chunks", "clip_factor"),
    *(f"{stage}_s" for stage in STAGES),
    *("started_at", "finished_at"),
]
TIMINGS_READ = [
    "run_id",
    "track_id",
    "stem",
    "uri",
    "provider",
    "device",
    "node",
    "chunks",
    "queue_s",
    "infer_s",
]

SLOWEST = 12
SENTENCES = 6  # different ones of each kind of error
SAMPLES = 4
Moments = tuple[
    np.ndarray, np.ndarray
]  # when each track was finished, us; its seconds of audio, nan if failed
LONG_S = 900.0  # the stems of a longer track are sampled only where there is no shorter one


@dataclass
class Run:
    """`started_at` is the first probe's; what came before it (Ray, loading models) is not in the tables."""

    run_id: str
    started_at: datetime
    ended_at: datetime  # of the last track so far
    done: int = 0
    failed: int = 0
    audio_s: float = 0.0  # of the tracks done
    nodes: set[str] = field(default_factory=set)  # that inferred

    @property
    def wall_s(self) -> float:
        return (self.ended_at - self.started_at).total_seconds()


@dataclass
class Specialist:
    """What one stem's sessions did on one kind of device."""

    stem: str
    provider: str
    device: str
    tracks: int = 0
    chunks: int = 0
    infer_s: float = 0.0
    queue_s: float = 0.0
    audio_s: float = 0.0

    @property
    def x_realtime(self) -> float | None:
        return self.audio_s / self.infer_s if self.infer_s else None


@dataclass
class Example:
    """The first track with this sentence, and how many have it."""

    sentence: str
    track_id: str
    count: int = 0


@dataclass
class Errors:
    kind: str
    count: int
    examples: list[Example]  # of the first SENTENCES different sentences

    @property
    def unlisted(self) -> int:
        return self.count - sum(example.count for example in self.examples)


@dataclass(frozen=True, slots=True)
class Slow:
    track_id: str
    duration_s: float
    chunks: int
    work_s: float  # of workers, without waiting
    mostly: str  # the stage or specialist that took most of it
    mostly_s: float

    @property
    def chunk_s(self) -> float:
        return self.work_s / self.chunks


@dataclass(frozen=True, slots=True)
class Sampled:
    track_id: str
    duration_s: float
    clip_factor: float
    stems: dict[str, str]  # stem -> URI of its file


def stem_order(stem: str) -> tuple[int, str]:
    """The bag's order, and behind it what is not a specialist's (`no_vocals`)."""
    return STEMS.index(stem) if stem in STEMS else len(STEMS), stem


class Tally:
    def __init__(self) -> None:
        self.stages = dict.fromkeys(STAGES, 0.0)
        self._runs: dict[str, Run] = {}
        self._specialists: dict[tuple[str, str, str], Specialist] = {}
        self._moments: dict[str, list[Moments]] = {}  # by run
        self._chunk_s: list[np.ndarray] = [np.empty(0, np.float32)]
        self._slowest: list[tuple[float, str, Slow]] = []
        self._errors: Counter[str] = Counter()
        self._examples: dict[str, dict[str, Example]] = {}
        self._samples: list[tuple[tuple[bool, str], Sampled]] = []

    def add(self, tracks: pa.Table, timings: pa.Table) -> None:
        """Rows of `tracks` with those of `timings` that belong to them; others there are not counted."""
        timings = timings.filter(pc.is_in(timings["track_id"], value_set=tracks["track_id"]))
        good = tracks.filter(pc.equal(tracks["status"], "ok"))
        bad = tracks.filter(pc.not_equal(tracks["status"], "ok"))
        self._add_runs(tracks, timings)
        self._add_moments(tracks)
        for stage in STAGES:
            self.stages[stage] += pc.sum(tracks[f"{stage}_s"]).as_py() or 0.0
        self._add_specialists(good, timings)
        self._add_slowest(good, timings)
        self._add_errors(bad)
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
        nodes = timings.select(["run_id", "node"]).group_by(["run_id", "node"]).aggregate([])
        for row in nodes.to_pylist():
            if row["node"] is not None and row["run_id"] in self._runs:
                self._runs[row["run_id"]].nodes.add(row["node"])

    def _add_moments(self, tracks: pa.Table) -> None:
        for run_id in pc.unique(tracks["run_id"]).to_pylist():
            rows = tracks.filter(pc.equal(tracks["run_id"], run_id))
            at_us = rows["finished_at"].cast(pa.int64()).to_numpy()
            audio_s = pc.if_else(pc.equal(rows["status"], "ok"), rows["duration_s"], None).to_numpy()
            self._moments.setdefault(run_id, []).append((at_us, audio_s.astype(np.float32)))

    def _add_specialists(self, tracks: pa.Table, timings: pa.Table) -> None:
        inferred = timings.filter(pc.is_valid(timings["infer_s"]))  # `no_vocals` has no specialist
        place = pc.index_in(inferred["track_id"], value_set=tracks["track_id"])
        inferred = inferred.append_column("audio_s", tracks["duration_s"].take(place))
        sums = [
            ("track_id", "count"),
            *((name, "sum") for name in ("chunks", "infer_s", "queue_s", "audio_s")),
        ]
        for row in inferred.group_by(["stem", "provider", "device"]).aggregate(sums).to_pylist():
            key = row["stem"], row["provider"] or "unknown", row["device"] or "unknown"
            specialist = self._specialists.setdefault(key, Specialist(*key))
            specialist.tracks += row["track_id_count"]
            for name in ("chunks", "infer_s", "queue_s", "audio_s"):
                setattr(specialist, name, getattr(specialist, name) + (row[f"{name}_sum"] or 0))

    def _add_slowest(self, tracks: pa.Table, timings: pa.Table) -> None:
        tracks = tracks.filter(pc.greater(pc.coalesce(tracks["chunks"], 0), 0))
        infer = timings.group_by("track_id").aggregate([("infer_s", "sum")])
        place = pc.index_in(tracks["track_id"], value_set=infer["track_id"])
        work = pc.fill_null(infer["infer_s_sum"].take(place), 0.0).to_numpy()
        for stage in STAGES:
            work = work + pc.fill_null(tracks[f"{stage}_s"], 0.0).to_numpy()
        chunk_s = work / tracks["chunks"].to_numpy()
        self._chunk_s.append(chunk_s.astype(np.float32))
        for at in np.argsort(-chunk_s, kind="stable")[:SLOWEST]:
            row = tracks.slice(int(at), 1).to_pylist()[0]
            entry = chunk_s[at], row["track_id"]
            if len(self._slowest) == SLOWEST and entry <= self._slowest[0][:2]:
                break
            slow = _slow(row, float(work[at]), _rows_of(timings, row["track_id"]))
            push = heapq.heappush if len(self._slowest) < SLOWEST else heapq.heappushpop
            push(self._slowest, (*entry, slow))

    def _add_errors(self, bad: pa.Table) -> None:
        for row in bad.select(["track_id", "error_kind", "error"]).to_pylist():
            kind, sentence = row["error_kind"] or "unknown", row["error"] or "no sentence"
            self._errors[kind] += 1
            examples = self._examples.setdefault(kind, {})
            if sentence not in examples and len(examples) < SENTENCES:
                examples[sentence] = Example(sentence, row["track_id"])
            if sentence in examples:
                examples[sentence].count += 1

    def _add_samples(self, tracks: pa.Table, timings: pa.Table) -> None:
        """The tracks whose ids hash lowest: always the same ones, and spread over the catalogue."""
        ids, lengths = tracks["track_id"].to_pylist(), tracks["duration_s"].to_pylist()
        keys = [
            ((length > LONG_S, hashlib.sha256(track_id.encode()).hexdigest()), at)
            for at, (track_id, length) in enumerate(zip(ids, lengths, strict=True))
        ]
        for key, at in heapq.nsmallest(SAMPLES, keys):
            stems = {row["stem"]: row["uri"] for row in _rows_of(timings, ids[at]) if row["uri"]}
            stems = {stem: stems[stem] for stem in sorted(stems, key=stem_order)}
            factor = tracks["clip_factor"][at].as_py() or 1.0
            self._samples.append((key, Sampled(ids[at], lengths[at], factor, stems)))
        self._samples = sorted(self._samples, key=lambda sample: sample[0])[:SAMPLES]

    def runs(self) -> list[Run]:
        return sorted(self._runs.values(), key=lambda run: (run.started_at, run.run_id))

    def specialists(self) -> list[Specialist]:
        return sorted(self._specialists.values(), key=lambda s: (*stem_order(s.stem), s.provider, s.device))

    def moments(self) -> dict[str, Moments]:
        return {
            run_id: (np.concatenate([at_us for at_us, _ in parts]), np.concatenate([s for _, s in parts]))
            for run_id, parts in self._moments.items()
        }

    def errors(self) -> list[Errors]:
        counts = sorted(self._errors.items(), key=lambda item: (-item[1], item[0]))
        return [Errors(kind, count, list(self._examples[kind].values())) for kind, count in counts]

    def slowest(self) -> list[Slow]:
        return [slow for *_, slow in sorted(self._slowest, key=lambda entry: entry[:2], reverse=True)]

    def median_chunk_s(self) -> float | None:
        chunk_s = np.concatenate(self._chunk_s)
        return float(np.median(chunk_s)) if len(chunk_s) else None

    def samples(self) -> list[Sampled]:
        return [sample for _, sample in self._samples]


def _rows_of(timings: pa.Table, track_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = timings.filter(pc.equal(timings["track_id"], track_id)).to_pylist()
    return rows


def _slow(row: dict[str, Any], work_s: float, stems: list[dict[str, Any]]) -> Slow:
    parts = {stage: row[f"{stage}_s"] or 0.0 for stage in STAGES}
    parts |= {stem["stem"]: stem["infer_s"] or 0.0 for stem in stems}
    mostly = max(parts, key=lambda part: parts[part])
    return Slow(row["track_id"], row["duration_s"], row["chunks"], work_s, mostly, parts[mostly])
