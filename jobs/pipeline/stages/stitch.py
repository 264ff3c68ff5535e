"""The end of a track's road: chunks -> stems at the output, and what they cost.

A track of one section is stitched and written in one go. The sections of a longer one write their
weighted sums as parts below `parts/`; `finish` joins them when all are there.
"""

import io
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from jobs.pipeline import schema
from jobs.pipeline.arrow import Row, failed, level_of, sections_of, unpack
from jobs.pipeline.job import Job
from jobs.pipeline.output.paths import part
from jobs.pipeline.stages.sources import SourceMix
from separation.audio.stem_files import Blocks, MixMinus, write_stems
from separation.errors import ErrorKind, StorageError, TrackError
from separation.overlap_add import StitchedStem, overlap_add
from separation.store.objects import join, put_bytes, read_bytes, remove

Load = Callable[[str, int], np.ndarray]  # stem, section -> weighted sum
SUMMED = ("chunks", "decode_s", "stitch_s", "write_s", "upload_s")  # over a track's sections


def stitch(chunks: pa.Table, job: Job) -> pa.Table:
    """chunks -> one row a section; the audio is at the output, or in the section's parts."""
    finished = [_stitch(chunks, rows, job) for rows in sections_of(chunks)]
    return pa.Table.from_pylist(finished, schema.FINISHED)


def _stitch(chunks: pa.Table, rows: list[Row], job: Job) -> Row:
    row = rows[0]
    if row["status"] != "ok":
        return row
    clock = time.perf_counter()
    section = job.sections(row["length"])[row["section"]]
    totals = {stem: overlap_add(section, (unpack(chunks[stem], r["at"]) for r in rows)) for stem in job.stems}
    row = {
        **row,
        "decode_s": sum(r["decode_s"] for r in rows),
        "stitch_s": time.perf_counter() - clock,
        "stems": [
            {"stem": stem, "chunks": len(rows), **_sum([r[f"{stem}_run"] for r in rows])}
            for stem in job.stems
        ],
    }
    if row["sections"] == 1:
        return _write(row, lambda stem, index: totals[stem], job)
    clock = time.perf_counter()
    for stem, total in totals.items():
        data = io.BytesIO()
        np.save(data, total)
        put_bytes(data.getvalue(), part(job, row["track_id"], stem, row["section"]))
    write_s = time.perf_counter() - clock
    return row | {"write_s": write_s, "upload_s": write_s}


def finish(sections: list[Row], job: Job) -> Row:
    """All sections' rows of a track -> the track's row; joins their parts, then removes them."""
    row = merge(sections)
    parts = [
        part(job, row["track_id"], stem, index) for stem in job.stems for index in range(row["sections"])
    ]
    if row["status"] == "ok":
        row = _write(
            row,
            lambda stem, index: np.load(io.BytesIO(read_bytes(part(job, row["track_id"], stem, index)))),
            job,
        )
    remove(parts)
    return row


def merge(sections: list[Row]) -> Row:
    """One row from the rows of a track's sections: seconds and counts summed, an error kept."""
    if len(sections) == 1:
        return sections[0]
    ordered = sorted(sections, key=lambda row: row["section"])
    first = next((row for row in ordered if row["status"] != "ok"), ordered[0])
    if first["status"] != "ok":
        return first
    by_stem = zip(*(row["stems"] for row in ordered), strict=True)
    return {
        **first,
        **{name: sum(row[name] for row in ordered) for name in SUMMED},
        "stems": [_sum(list(stems)) for stems in by_stem],
    }


def _sum(runs: list[Row]) -> Row:
    """Runs of one specialist as one: what is a number is summed, what is a name is the first's."""
    numbers = {
        name: sum(run[name] for run in runs) for name in runs[0] if isinstance(runs[0][name], int | float)
    }
    return runs[0] | numbers


def _write(row: Row, load: Load, job: Job) -> Row:
    clock = time.perf_counter()
    sections = job.sections(row["length"])
    level = level_of(row)

    def stitched(stem: str) -> StitchedStem:
        return StitchedStem(sections, lambda index: load(stem, index), level)

    blocks: dict[str, Blocks] = {stem: stitched(stem) for stem in job.stems}
    if two := job.options.two_stems:
        blocks[f"no_{two}"] = MixMinus(SourceMix(row["uri"], row["source_etag"], job), blocks[two])
    try:
        files, factor = write_stems(
            blocks,
            row["track_id"],
            row["length"],
            job.options,
            join(job.output, "stems"),
            job.verify_writes,
        )
    except TrackError as error:
        return row | failed(error)
    except StorageError as error:
        if not isinstance(error.__cause__, NotADirectoryError | IsADirectoryError | FileExistsError):
            raise
        reason = "on this output, another track's file and this one's folder have the same path"
        return row | failed(TrackError(row["uri"], ErrorKind.BAD_KEY, reason))
    runs = {run["stem"]: run for run in row["stems"]}
    written = [
        {
            **runs.get(file.stem, {}),
            "stem": file.stem,
            "uri": file.uri,
            "bytes": file.bytes,
            "sha256": file.sha256,
            "peak": file.peak,
        }
        for file in files
    ]
    write_s = (row.get("write_s") or 0.0) + time.perf_counter() - clock
    upload_s = (row.get("upload_s") or 0.0) + sum(file.upload_s for file in files)
    return row | {"stems": written, "clip_factor": factor, "write_s": write_s, "upload_s": upload_s}
