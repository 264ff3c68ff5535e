"""The steps of a track's road, as functions of Arrow tables. No Ray here: `dataset` strings them.

A bad track is a row with `status="error"` that travels to the end; only what would fail every
track raises.
"""

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from jobs.pipeline import schema
from jobs.pipeline.arrow import Row, failed, level_of, pack, unpack
from jobs.pipeline.job import Job
from jobs.pipeline.output.paths import check_key
from jobs.pipeline.stages.slots import Gate
from jobs.pipeline.stages.sources import open_source, sources
from separation.errors import TrackError
from separation.grid import context, cut
from separation.level import LevelMeter, normalize, warnings
from separation.models.bag import fetch
from separation.models.specialist import Specialist


def probe(tracks: pa.Table, job: Job) -> pa.Table:
    """Decodes each track once, for its length and its loudness, which chunk 1 needs already."""
    return pa.Table.from_pylist([_probe(track, job) for track in tracks.to_pylist()], schema.SOURCE)


def _probe(track: Row, job: Job) -> Row:
    row: Row = {"status": "ok", **track, "warnings": [], "started_at": datetime.now(UTC)}
    if row["status"] != "ok":
        return row
    clock = time.perf_counter()
    try:
        check_key(track, job)
        found = sources(job).stat(track["uri"])
        row |= {"source_bytes": found.bytes, "source_etag": found.etag}
        job.limits.check_size(track["uri"], found.bytes)
        with open_source(track["uri"], found.etag, job) as reader:
            row |= {"sample_rate_hz": reader.sample_rate_hz, "channels": reader.channels}
            meter = LevelMeter()
            for block in reader.blocks():
                meter.add(block)
        level = meter.level()
        row |= {"length": meter.samples, **asdict(level)}
        row["warnings"] = [*reader.warnings, *warnings(level)]
    except TrackError as error:
        row |= failed(error)
    return row | {"probe_s": time.perf_counter() - clock}


def plan(tracks: pa.Table, job: Job) -> pa.Table:
    """track -> sections; a track in error is one section without chunks."""
    rows: list[Row] = []
    for track in tracks.to_pylist():
        sizes = [len(s.chunks) for s in job.sections(track["length"])] if track["status"] == "ok" else [0]
        for section, chunks in enumerate(sizes):
            rows.append({**track, "section": section, "sections": len(sizes), "chunks": chunks})
    return pa.Table.from_pylist(rows, schema.SECTION)


def chunk(sections: pa.Table, job: Job) -> pa.Table:
    """section -> its chunks, each with its segment of the flattened mix."""
    return pa.concat_tables([_chunk(section, job) for section in sections.to_pylist()])


def _chunk(section: Row, job: Job) -> pa.Table:
    clock = time.perf_counter()
    segments: list[np.ndarray] = []
    if section["status"] == "ok":
        try:
            segments = _segments(section, job)
        except TrackError as error:
            section |= failed(error)
    decode_s = (time.perf_counter() - clock) / max(1, len(segments))
    rows = [{**section, "decode_s": decode_s, "chunk": index} for index in range(max(1, len(segments)))]
    columns = pa.Table.from_pylist(rows, schema.CHUNK.remove(schema.CHUNK.get_field_index("mix")))
    return columns.append_column("mix", pack(segments or [None]))


def _segments(row: Row, job: Job) -> list[np.ndarray]:
    section = job.sections(row["length"])[row["section"]]
    start, stop = context(section.chunks, row["length"])
    with open_source(row["uri"], row["source_etag"], job) as reader:
        mix = np.concatenate(list(reader.blocks(start, stop)), axis=1)
    flat = normalize(mix, level_of(row))
    return [cut(flat, chunk, start) for chunk in section.chunks]


class Infer:
    """An actor's work: one specialist in one session; adds its stem's segments beside the mix.

    `node` is written into the rows.
    """

    def __init__(self, stem: str, job: Job, node: str):
        self.stem, self.job = stem, job
        cache = Path(job.cache)
        file = fetch(job.bag, stem, cache / "models")
        self.specialist = Specialist(
            file,
            stem,
            job.bag.stems,
            provider=job.plan.provider,
            threads=job.plan.threads,
            spinning=False,  # actors share the node's cores
            sha256=job.bag.specialists[stem].sha256,
            cache=cache / "optimized",
        )
        self.gate = Gate(cache / "turns", job.plan.turns)
        self.facts = {
            "model_sha256": job.bag.specialists[stem].sha256,
            "precision": job.bag.precision,
            "provider": self.specialist.provider,
            "device": self.specialist.device,
            "node": node,
        }

    def __call__(self, chunks: pa.Table) -> pa.Table:
        good = [row for row, status in enumerate(chunks["status"].to_pylist()) if status == "ok"]
        segments: list[np.ndarray | None] = [None] * len(chunks)
        runs: list[Row | None] = [None] * len(chunks)
        lengths, batch = chunks["length"].to_pylist(), self.job.plan.batch
        for rows in (good[first : first + batch] for first in range(0, len(good), batch)):
            mix = np.stack([unpack(chunks["mix"], row) for row in rows])
            with self.gate.turn() as queue_s:
                clock = time.perf_counter()
                outputs = self.specialist(mix)
                infer_s = time.perf_counter() - clock
            self.inferred([lengths[row] for row in rows], infer_s, queue_s)
            share = 1 / len(rows)
            run = {"infer_s": infer_s * share, "queue_s": queue_s * share, "batches": share, **self.facts}
            for row, output in zip(rows, outputs, strict=True):
                segments[row], runs[row] = output, run
        if self.stem == self.job.stems[-1]:
            chunks = chunks.drop_columns(["mix"])
        return chunks.append_column(self.stem, pack(segments)).append_column(
            f"{self.stem}_run", pa.array(runs, schema.RUN)
        )

    def inferred(self, lengths: list[int], infer_s: float, queue_s: float) -> None:
        """Called after each inference, with the lengths of its chunks' tracks; the actor counts it."""
