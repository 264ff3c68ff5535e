"""What Prometheus can read from every node while a job runs; `cluster/grafana/` draws it.

Ray exports each of these as `ray_<name>` at a node's metrics port, about ten seconds behind, and keeps
the counts of processes that have ended. All carry `run_id`; their sums over a finished run are those of its
tables, but for what was done twice: a lost node's sections, and inferences of tracks that failed later.
"""

from ray.util.metrics import Counter, Gauge

from jobs.pipeline.job import Job
from jobs.pipeline.live_counts import InferredAudio, LiveCounts
from jobs.pipeline.records import FinishedTrack

INFERENCE = {  # in the actors, by graph and device
    "stemfleet_chunks_total": "Chunks inferred.",
    "stemfleet_audio_seconds_total": "Seconds of audio inferred: a track's length once its chunks are done.",
    "stemfleet_inference_seconds_total": "Seconds that sessions ran.",
    "stemfleet_queue_seconds_total": "Seconds that inferences waited for a slot on their node.",
    "stemfleet_inference_errors_total": "Inferences that raised; each stops the job or its actor.",
}
TRACKS = {  # in the driver
    "stemfleet_tracks_total": ("Finished tracks, by status and kind of error.", ("status", "error_kind")),
    "stemfleet_finished_audio_seconds_total": ("Seconds of audio of the tracks done.", ()),
    "stemfleet_stage_seconds_total": ("Seconds of tasks outside of inference.", ("stage",)),
    "stemfleet_source_bytes_total": ("Bytes of the finished tracks' sources.", ()),
    "stemfleet_stem_bytes_total": ("Bytes of the stems written.", ()),
}
LEFT = "stemfleet_tracks_left"
STAGES = ("probe", "decode", "stitch", "write")  # whose seconds a track's row has


class InferenceMetrics:
    """What the actor of one graph counts and tells `live`: an `InferenceObserver`."""

    def __init__(self, job: Job, graph: str, live: LiveCounts, device: str):
        self._job, self._graph = job, graph
        self._length, self._chunk_s = 0, 0.0
        self._inferred = InferredAudio(live)
        tags = {"run_id": job.run_id, "graph": graph, "device": device}
        self._counters = {
            name: Counter(name, description, tuple(tags)).set_default_tags(tags)
            for name, description in INFERENCE.items()
        }

    def inferred(self, lengths: list[int], infer_s: float, queue_s: float) -> None:
        self._count("chunks", len(lengths))
        audio_s = sum(map(self._audio_s, lengths))
        self._count("audio_seconds", audio_s)
        self._inferred.add(audio_s / len(self._job.graphs))
        self._count("inference_seconds", infer_s)
        self._count("queue_seconds", queue_s)

    def failed(self) -> None:
        self._count("inference_errors", 1)

    def _count(self, metric: str, value: float) -> None:
        if value > 0:  # Ray refuses to count nothing
            self._counters[f"stemfleet_{metric}_total"].inc(value)

    def _audio_s(self, length: int) -> float:
        if length != self._length:
            self._length, self._chunk_s = length, chunk_seconds(self._job, self._graph, length)
        return self._chunk_s


def chunk_seconds(job: Job, graph: str, length: int) -> float:
    """A chunk's share of its track's seconds; `length` is the track's in samples.

    Chunks overlap, so each of the grids of the graph's own contract counts for an equal part: together they
    are the track, once for every graph.
    """
    contract = job.bag.graphs[graph].contract
    chunks = sum(len(section.chunks) for section in job.sections(length) if section.contract == contract)
    return length / job.sample_rate / chunks


class TrackMetrics:
    """What the driver counts of finished tracks."""

    def __init__(self, run_id: str, sample_rate: int):
        """`sample_rate` is the models', in Hz."""
        self._sample_rate = sample_rate
        tags = {"run_id": run_id}
        self._counters = {
            name: Counter(name, description, ("run_id", *keys)).set_default_tags(tags)
            for name, (description, keys) in TRACKS.items()
        }
        self._left = Gauge(LEFT, "Tracks of the run that are not finished.", ("run_id",))
        self._left.set_default_tags(tags)

    def add(self, finished: FinishedTrack, left: int) -> None:
        """Counts a finished track; `left` tracks of the run are not finished yet."""
        track, work = finished.track, finished.work
        kind = track.failure.error_kind if track.failure else ""
        self._count("tracks", 1, status=track.status, error_kind=kind)
        if not track.failure:
            self._count("finished_audio_seconds", track.length / self._sample_rate)
            self._count("stem_bytes", sum(stem.bytes or 0 for stem in work.stems))
        seconds = (track.probe_s, work.decode_s, work.stitch_s, work.write_s)
        for stage, spent in zip(STAGES, seconds, strict=True):
            self._count("stage_seconds", spent, stage=stage)
        self._count("source_bytes", track.source.source_bytes if track.source else None)
        self._left.set(left)

    def _count(self, metric: str, value: float | None, **tags: str) -> None:
        if value:
            self._counters[f"stemfleet_{metric}_total"].inc(value, tags or None)
