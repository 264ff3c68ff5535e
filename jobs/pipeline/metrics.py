"""What Prometheus can read from every node while a job runs; `cluster/grafana/` draws it.

Ray exports each of these as `ray_<name>` at a node's metrics port, about ten seconds behind, and keeps
the counts of processes that have ended. All carry `run_id`; their sums over a finished run are those of its
tables, but for what was done twice: a lost node's sections, and inferences of tracks that failed later.
"""

from collections.abc import Iterable

from ray.util.metrics import Counter, Gauge

from jobs.pipeline.arrow import Row
from jobs.pipeline.job import Job
from separation.contract import SAMPLE_RATE

SPECIALIST = {  # in the actors, by stem and device
    "stemfleet_chunks_total": "Chunks inferred.",
    "stemfleet_audio_seconds_total": "Seconds of audio inferred: a track's length once its chunks are done.",
    "stemfleet_inference_seconds_total": "Seconds that sessions ran.",
    "stemfleet_queue_seconds_total": "Seconds that inferences waited for a turn on their node.",
    "stemfleet_inference_errors_total": "Inferences that raised; each stops the job or its actor.",
}
TRACKS = {  # in the driver
    "stemfleet_tracks_total": ("Finished tracks, by status and kind of error.", ("status", "error_kind")),
    "stemfleet_finished_audio_seconds_total": ("Seconds of audio of the tracks done.", ()),
    "stemfleet_stage_seconds_total": ("Seconds of tasks outside of the specialists.", ("stage",)),
    "stemfleet_source_bytes_total": ("Bytes of the finished tracks' sources.", ()),
    "stemfleet_stem_bytes_total": ("Bytes of the stems written.", ()),
}
LEFT = "stemfleet_tracks_left"
STAGES = ("probe", "decode", "stitch", "write")


class InferenceMetrics:
    """What one specialist's actor counts."""

    def __init__(self, stem: str, device: str, job: Job):
        self._job = job
        self._length, self._chunk_s = 0, 0.0
        tags = {"run_id": job.run_id, "stem": stem, "device": device}
        self._counters = {
            name: Counter(name, words, tuple(tags)).set_default_tags(tags)
            for name, words in SPECIALIST.items()
        }

    def add(self, lengths: list[int], infer_s: float, queue_s: float) -> None:
        """A batch of chunks, each with the length of its track in samples."""
        self._count("chunks", len(lengths))
        self._count("audio_seconds", sum(map(self._audio_s, lengths)))
        self._count("inference_seconds", infer_s)
        self._count("queue_seconds", queue_s)

    def failed(self) -> None:
        self._count("inference_errors", 1)

    def _count(self, what: str, value: float) -> None:
        if value > 0:  # Ray refuses to count nothing
            self._counters[f"stemfleet_{what}_total"].inc(value)

    def _audio_s(self, length: int) -> float:
        """Chunks overlap: each stands for an equal part of its track."""
        if length != self._length:
            chunks = sum(len(section.chunks) for section in self._job.sections(length))
            self._length, self._chunk_s = length, length / SAMPLE_RATE / chunks
        return self._chunk_s


class TrackMetrics:
    """What the driver counts of finished tracks."""

    def __init__(self, run_id: str):
        tags = {"run_id": run_id}
        self._counters = {
            name: Counter(name, words, ("run_id", *keys)).set_default_tags(tags)
            for name, (words, keys) in TRACKS.items()
        }
        self._left = Gauge(LEFT, "Tracks of the run that are not finished.", ("run_id",))
        self._left.set_default_tags(tags)

    def add(self, row: Row, left: int) -> None:
        """A finished track's row; `left` tracks are not finished yet."""
        good = row["status"] == "ok"
        self._count("tracks", 1, status=row["status"], error_kind="" if good else row["error_kind"])
        self._count("finished_audio_seconds", row["length"] / SAMPLE_RATE if good else 0)
        for stage in STAGES:
            self._count("stage_seconds", row.get(f"{stage}_s"), stage=stage)
        self._count("source_bytes", row.get("source_bytes"))
        self._count("stem_bytes", _sum(stem["bytes"] for stem in row["stems"]) if good else 0)
        self._left.set(left)

    def _count(self, what: str, value: float | None, **tags: str) -> None:
        if value:
            self._counters[f"stemfleet_{what}_total"].inc(value, tags or None)


def _sum(values: Iterable[int | None]) -> int:
    return sum(value or 0 for value in values)
