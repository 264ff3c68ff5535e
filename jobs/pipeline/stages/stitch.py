"""stitch: overlap-add of a section's segments, and the stems of a track at the output.

A track of one section is stitched and written in one go. The sections of a longer one write their
weighted sums as parts below `parts/`; `finish` joins them once all are there.
"""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from jobs.pipeline.arrow import from_row, sections_of, to_table, unpack
from jobs.pipeline.job import Job
from jobs.pipeline.output.paths import part
from jobs.pipeline.records import (
    Failure,
    FinishedSection,
    FinishedTrack,
    InferenceRun,
    StemResult,
    Track,
    TrackChunk,
    Work,
    join_runs,
    merge,
    share_of,
    sum_runs,
)
from jobs.pipeline.stages.infer import audio_column, run_column
from jobs.pipeline.stages.worker import SourceMix, Worker
from separation.audio.stem_files import Blocks, write_stems
from separation.errors import SourceUnreachable, TrackError
from separation.overlap_add import StitchedStem, overlap_add, silence
from separation.separator import of_contract
from separation.store.filesystems import join

LoadSum = Callable[[str, int], np.ndarray]  # stem, index of a section -> its weighted sum


def stitch(chunks: pa.Table, job: Job, worker: Worker) -> pa.Table:
    """Table of `TrackChunk` with all stems' columns -> table of `FinishedSection`, the audio written."""
    finished = [stitch_section(chunks, rows, job, worker) for rows in sections_of(chunks)]
    return to_table(finished, FinishedSection)


def stitch_section(
    table: pa.Table, rows: list[tuple[int, TrackChunk]], job: Job, worker: Worker
) -> FinishedSection:
    section, track = rows[0][1].section, rows[0][1].section.track
    if track.failure:
        return FinishedSection(section, Work(decode_s=rows[0][1].decode_s))
    if track.is_silent:
        return _write_silence(rows[0][1], job, worker)
    clock = time.perf_counter()
    grid = job.sections(track.length)[section.index]
    stems = job.stems_in(grid)
    sums = {
        stem: overlap_add(grid, (unpack(table[audio_column(stem)], row) for row, _ in rows)) for stem in stems
    }
    work = Work(
        decode_s=sum(chunk.decode_s for _, chunk in rows),
        stitch_s=time.perf_counter() - clock,
        silent_chunks=sum(chunk.skipped for _, chunk in rows),
        stems=tuple(_result(table, stem, rows, job) for stem in stems),
    )
    if section.sections == 1:
        failure, work = write_track(track, work, lambda stem, _: sums[stem], job, worker)
        return FinishedSection(replace(section, track=replace(track, failure=failure)), work)
    clock = time.perf_counter()
    for stem, weighted_sum in sums.items():
        data = io.BytesIO()
        np.save(data, weighted_sum)
        job.store.put_bytes(data.getvalue(), part(job, track.track_id, stem, grid))
    write_s = time.perf_counter() - clock
    return FinishedSection(section, replace(work, write_s=write_s, upload_s=write_s))


def _write_silence(chunk: TrackChunk, job: Job, worker: Worker) -> FinishedSection:
    """A silent track, which went through the pipeline as one section without audio."""
    section, track = chunk.section, chunk.section.track
    sections = job.sections(track.length)
    work = Work(
        decode_s=chunk.decode_s,
        stitch_s=0.0,
        silent_chunks=sum(len(each.chunks) for each in sections),
        stems=tuple(StemResult(stem, _graphs(stem, job), chunks=0) for stem in job.stems),
    )
    failure, work = write_track(track, work, lambda _, index: silence(sections[index]), job, worker)
    return FinishedSection(replace(section, track=replace(track, failure=failure)), work)


def _result(table: pa.Table, stem: str, rows: list[tuple[int, TrackChunk]], job: Job) -> StemResult:
    """A stem of a section, with its share of what its graphs took."""
    runs: list[InferenceRun] = []
    chunks = 0
    graphs = job.bag.graphs_of([stem])
    for graph in graphs:
        column = table[run_column(graph)]
        inferred = [column[row].as_py() for row, chunk in rows if not chunk.skipped]
        chunks += len(inferred)
        total = sum_runs(from_row(InferenceRun, run) for run in inferred)
        if total is not None:
            runs.append(share_of(total, 1 / len(job.bag.contributions(graph, job.stems))))
    return StemResult(stem, _graphs(stem, job), chunks=chunks, run=join_runs(runs))


def _graphs(stem: str, job: Job) -> str:
    """The names of a stem's graphs, for the tables."""
    return "+".join(job.bag.graphs_of([stem]))


def finish(sections: Sequence[FinishedSection], job: Job, worker: Worker) -> FinishedTrack:
    """A track from all of its sections: joins their parts into stems.

    The parts stay: where this task's result is lost with its node, it is done once more.
    """
    merged = merge(sections)
    track = merged.track
    planned = job.sections(track.length) if track.failure is None else []

    def load(stem: str, index: int) -> np.ndarray:
        data = job.store.read_bytes(part(job, track.track_id, stem, planned[index]))
        weighted_sum: np.ndarray = np.load(io.BytesIO(data))
        return weighted_sum

    if track.failure is None:
        failure, work = write_track(track, merged.work, load, job, worker)
        merged = replace(merged, track=replace(track, failure=failure), work=work)
    return merged


def write_track(
    track: Track, work: Work, load: LoadSum, job: Job, worker: Worker
) -> tuple[Failure | None, Work]:
    """Writes the track's stems from the sums of its sections; `work` with their files and seconds added."""
    clock = time.perf_counter()
    sections = job.sections(track.length)

    def stitched(stem: str) -> StitchedStem:
        contract = job.bag.contract_name(stem)
        own = of_contract(sections, contract)
        level_rule = job.bag.contracts[contract].level
        return StitchedStem(own, lambda index: load(stem, index), track.level, level_rule)

    mix = SourceMix(track.uri, track.etag, job.limits, job.sample_rate, worker)
    inferred_blocks: dict[str, Blocks] = {stem: stitched(stem) for stem in job.stems}
    blocks = job.stems_to_write(inferred_blocks, mix)
    stems = join(job.output, "stems")
    try:
        files, factor = write_stems(
            blocks,
            track.track_id,
            track.length,
            job.options,
            stems,
            job.store,
            job.verify_writes,
            sample_rate=job.sample_rate,
        )
    except (TrackError, SourceUnreachable) as error:
        return Failure.of(error), work
    inferred = {result.stem: result for result in work.stems}
    written = [
        replace(
            inferred.get(file.stem, StemResult(file.stem)),
            uri=file.uri,
            bytes=file.bytes,
            sha256=file.sha256,
            peak=file.peak,
        )
        for file in files
    ]
    done = replace(
        work,
        write_s=(work.write_s or 0.0) + time.perf_counter() - clock,
        upload_s=(work.upload_s or 0.0) + sum(file.upload_s for file in files),
        clip_factor=factor,
        stems=tuple(written),
    )
    return None, done
