"""The columns of everything that moves: rows on the road, and the two tables at the output.

SOURCE    a track after its probe
SECTION   + where the section lies                 one row a section
CHUNK     + where the chunk lies, and its segment  one row a chunk, one block a section
FINISHED  SECTION - the audio + what each specialist and file cost; one row a section
"""

import pyarrow as pa

_seconds = pa.float64()
_moment = pa.timestamp("us", tz="UTC")

CATALOGUE = pa.schema([("track_id", pa.string()), ("uri", pa.string())])

# A catalogue's row; `error` says why the track cannot be done under its id, else null.
LISTED = pa.schema([*CATALOGUE, ("error", pa.string())])

SOURCE = pa.schema(
    [
        *CATALOGUE,
        ("status", pa.string()),  # ok | error
        ("error_kind", pa.string()),
        ("error", pa.string()),
        ("warnings", pa.list_(pa.string())),
        ("source_bytes", pa.int64()),
        ("source_etag", pa.string()),
        ("sample_rate_hz", pa.int32()),  # of the file
        ("channels", pa.int32()),  # of the file
        ("length", pa.int64()),  # samples at 44.1 kHz
        ("mean", pa.float64()),
        ("std", pa.float64()),
        ("peak", pa.float64()),
        ("probe_s", _seconds),
        ("started_at", _moment),
    ]
)

SECTION = pa.schema([*SOURCE, ("section", pa.int32()), ("sections", pa.int32()), ("chunks", pa.int32())])

CHUNK = pa.schema([*SECTION, ("decode_s", _seconds), ("chunk", pa.int32()), ("mix", pa.large_binary())])

# What one specialist did to one chunk; a column `<stem>_run` beside the audio in `<stem>`.
RUN = pa.struct(
    [
        ("infer_s", _seconds),  # the chunk's share of its batch
        ("queue_s", _seconds),  # its share of the batch's wait for a turn on the node
        ("batches", pa.float64()),  # its share of the batch: they sum to the number of batches
        ("model_sha256", pa.string()),
        ("precision", pa.string()),
        ("provider", pa.string()),
        ("device", pa.string()),
        ("node", pa.string()),
    ]
)

STEM = pa.struct(
    [
        ("stem", pa.string()),
        ("uri", pa.string()),  # null until the track's stems are written
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("peak", pa.float64()),
        ("chunks", pa.int32()),
        *RUN,
    ]
)

FINISHED = pa.schema(
    [
        *SECTION,
        ("decode_s", _seconds),
        ("stitch_s", _seconds),
        ("write_s", _seconds),
        ("upload_s", _seconds),  # of write_s, what the store took
        ("clip_factor", pa.float64()),
        ("stems", pa.list_(STEM)),
    ]
)

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
