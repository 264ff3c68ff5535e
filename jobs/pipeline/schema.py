"""The columns of a catalogue and of the two tables at the output; `records` are what moves in between."""

import pyarrow as pa

from jobs.pipeline.arrow import schema_of
from jobs.pipeline.records import ListedTrack

_seconds = pa.float64()
_moment = pa.timestamp("us", tz="UTC")

CATALOGUE = pa.schema([("track_id", pa.string()), ("uri", pa.string())])
LISTED = schema_of(ListedTrack)

TRACKS = pa.schema(
    [
        ("run_id", pa.string()),
        *CATALOGUE,
        ("status", pa.string()),
        ("error_kind", pa.string()),
        ("error", pa.string()),
        ("warnings", pa.list_(pa.string())),
        ("source_bytes", pa.int64()),
        ("source_etag", pa.string()),
        ("sample_rate_hz", pa.int32()),
        ("channels", pa.int32()),
        ("duration_s", _seconds),
        ("chunks", pa.int32()),
        ("silent_chunks", pa.int32()),
        ("sections", pa.int32()),
        ("clip_factor", pa.float64()),
        ("probe_s", _seconds),
        ("decode_s", _seconds),
        ("stitch_s", _seconds),
        ("write_s", _seconds),
        ("upload_s", _seconds),  # of write_s, what the store took
        ("started_at", _moment),
        ("finished_at", _moment),
        ("settings_sha256", pa.string()),
    ]
)

TIMINGS = pa.schema(
    [
        ("run_id", pa.string()),
        ("track_id", pa.string()),
        ("stem", pa.string()),
        ("graph", pa.string()),
        ("uri", pa.string()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("peak", pa.float64()),
        ("model_sha256", pa.string()),
        ("precision", pa.string()),
        ("provider", pa.string()),
        ("device", pa.string()),
        ("node", pa.string()),
        ("chunks", pa.int32()),
        ("batches", pa.int32()),
        ("queue_s", _seconds),
        ("infer_s", _seconds),
        ("device_s", _seconds),
        ("x_realtime", pa.float64()),
    ]
)

# The meaning of every column, for the tables of docs/output.md: columns that share one, and the sentence.
MEANINGS = {
    "tracks": (
        ("track_id uri run_id", "the track, where its file is, and the run that finished it"),
        ("status error_kind error", "`ok` or `error`, why in a word, and in a sentence"),
        ("warnings", "what was unusual about the file"),
        ("source_bytes source_etag sample_rate_hz channels duration_s", "of the file"),
        ("chunks sections", "its chunks, over all grids; in how many pieces the track travelled"),
        ("silent_chunks", "chunks of digital silence that no graph saw: all of a silent track"),
        ("clip_factor", "what `rescale` multiplied all stems by"),
        (
            "probe_s decode_s stitch_s write_s upload_s",
            "seconds of CPU stages; the last is the store's part of `write_s`",
        ),
        ("started_at finished_at", "when the probe began, and when the stems were written"),
        ("settings_sha256", "the same for tracks of the same models, precision, engine and options"),
    ),
    "timings": (
        ("track_id stem run_id", "the track, the stem, and the run that finished it"),
        ("graph", "the model that gives the stem; several are joined with +, and so are their digests"),
        ("uri bytes sha256 peak", "of the stem's file; `peak` before `clip_factor`"),
        (
            "model_sha256 precision provider device node",
            "what computed it, as the session reports it",
        ),
        (
            "chunks batches infer_s queue_s",
            "inferences, their seconds, and those of waiting for a turn on the node's cores; stems of one "
            "graph share its seconds equally",
        ),
        (
            "device_s",
            "core-seconds on a CPU; on a GPU `infer_s` times the share of it that the actor has, since the "
            "actors of a GPU take turns within their `infer_s`: summed, seconds of cores or of GPUs",
        ),
        ("x_realtime", "the track's seconds over `infer_s`"),
    ),
}
