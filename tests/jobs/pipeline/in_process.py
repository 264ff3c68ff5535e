"""The pipeline of `dataset` in this process, without Ray."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from jobs.pipeline.arrow import from_table
from jobs.pipeline.job import Job
from jobs.pipeline.progress import Live
from jobs.pipeline.records import FinishedSection, FinishedTrack
from jobs.pipeline.stages.separation import separation_stages
from jobs.pipeline.stages.stage import unobserved
from jobs.pipeline.stages.worker import Worker
from separation.store.source_cache import SourceCache
from tests.sounds import DECODERS


@dataclass(frozen=True)
class InProcess:
    """Takes the blocks that Ray would: a track each, then a section each."""

    job: Job

    def sections(self, tracks: pa.Table) -> Iterator[FinishedSection]:
        stages, worker = separation_stages(self.job), self.worker()
        infer = [stage.load(stage.graph, self.job, worker, unobserved) for stage in stages.infer]
        for track in blocks(tracks):
            probed = stages.probe.work(track, self.job, worker)
            for section in blocks(stages.split.work(probed, self.job, worker)):
                chunks = stages.cut.work(section, self.job, worker)
                for step in infer:
                    chunks = step(chunks)
                yield from from_table(FinishedSection, stages.stitch.work(chunks, self.job, worker))

    def finish(self, sections: Sequence[FinishedSection]) -> FinishedTrack:
        return separation_stages(self.job).finish.work(sections, self.job, self.worker())

    def live(self) -> Live:
        return Live()

    def worker(self) -> Worker:
        job = self.job
        sources = SourceCache(f"{job.cache}/sources", job.cache_bytes, job.store, job.limits)
        return Worker("here", sources, DECODERS)


def blocks(table: pa.Table) -> list[pa.Table]:
    return [table.slice(row, 1) for row in range(table.num_rows)]
