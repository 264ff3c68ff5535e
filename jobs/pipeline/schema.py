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
        ("sections", pa.int32()),
        ("clip_factor", pa.float64()),
        ("probe_s", _seconds),
        ("decode_s", _seconds),
        ("stitch_s", _seconds),
        ("write_s", _seconds),
        ("upload_s", _seconds),  # of write_s, what the store took
        ("started_at", _moment),
        ("finished_at", _moment),
    ]
)

TIMINGS = pa.schema(
    [
        ("run_id", pa.string()),
        ("track_id", pa.string()),
        ("stem", pa.string()),
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
        ("x_realtime", pa.float64()),
    ]
)
