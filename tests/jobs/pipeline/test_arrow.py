from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from jobs.pipeline.arrow import from_table, pack, schema_of, sections_of, to_table, unpack, with_failure
from jobs.pipeline.records import (
    Encoded,
    Failure,
    FinishedSection,
    FinishedTrack,
    InferenceRun,
    ListedTrack,
    Source,
    StemResult,
    Track,
    TrackChunk,
    TrackSection,
    Work,
)
from separation.contract import CHANNELS, HTDEMUCS
from separation.errors import ErrorKind
from separation.level import Level


def segment(value: float) -> np.ndarray:
    return np.full((CHANNELS, HTDEMUCS.segment), value, np.float32)


MOMENT = datetime(2026, 11, 27, 23, 7, 15, 250, tzinfo=UTC)
BAD = Failure(ErrorKind.CORRUPT, "why")
TRACK = Track(
    track_id="a/b.wav",
    uri="s3://music/a/b.wav",
    failure=None,
    warnings=("level: digital silence",),
    source=Source(1000, "etag"),
    encoded=Encoded(48_000, 1),
    measured=Level(441_000, 0.0, 0.1, 0.5),
    probe_s=0.25,
    started_at=MOMENT,
)
UNREADABLE = replace(TRACK, failure=BAD, warnings=(), source=None, encoded=None, measured=None, probe_s=None)
RUN = InferenceRun(1.5, 0.0, 0.5, "0" * 64, "fp32", "CPUExecutionProvider", "a CPU", "node")
WORK = Work(
    decode_s=1.0,
    stitch_s=0.5,
    write_s=0.25,
    upload_s=0.0,
    clip_factor=1.0,
    stems=(
        StemResult("bass", "all+bass", "s3://out/bass.wav", 44, "1" * 64, 0.9, 2, RUN),
        StemResult("no_bass", None, "s3://out/no_bass.wav", 44, "2" * 64, 0.9),
    ),
)


@pytest.mark.parametrize(
    "record",
    [
        ListedTrack("a", "s3://music/a"),
        ListedTrack("a", "s3://music/a", BAD),
        TRACK,
        UNREADABLE,
        TrackSection(TRACK, 1, 2, 64),
        TrackChunk(TrackSection(TRACK, 1, 2, 64), 0.125, 63),
        FinishedSection(TrackSection(UNREADABLE, 0, 1, 0), Work(decode_s=0.0)),
        FinishedSection(TrackSection(TRACK, 0, 1, 2), WORK),
        FinishedTrack(TRACK, 2, 80, WORK, MOMENT),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_record_comes_out_of_its_table_as_it_went_in(record: object) -> None:
    kind = type(record)
    table = to_table([record, record], kind)
    assert table.schema == schema_of(kind)
    assert from_table(kind, table) == [record, record]
    assert from_table(kind, table.append_column("drums", pack([None, None]))) == [record, record]


def test_the_columns_of_nested_records_stand_beside_each_other() -> None:
    names = schema_of(FinishedSection).names
    assert len(set(names)) == len(names)
    assert names[:4] == ["track_id", "uri", "error_kind", "error"]
    assert {"source_etag", "length", "peak", "index", "decode_s", "stems"} <= set(names)


def test_a_table_in_error_has_its_failure_in_every_row() -> None:
    table = with_failure(to_table([TRACK, TRACK], Track), BAD)
    assert from_table(Track, table) == [replace(TRACK, failure=BAD)] * 2


def chunks(*rows: tuple[str, int, int, int], failure: Failure | None = None) -> pa.Table:
    """Rows of (track_id, section, chunk, chunks) with audio beside them."""
    records = []
    for track_id, section, chunk, count in rows:
        track = replace(TRACK, track_id=track_id, uri=track_id, failure=failure)
        records.append(TrackChunk(TrackSection(track, section, 2, count), 0.0, chunk))
    return to_table(records, TrackChunk).append_column("drums", pack([segment(row[2]) for row in rows]))


def test_audio_comes_out_as_it_went_in_also_in_slices_and_joined_blocks() -> None:
    packed = pa.chunked_array([pack([segment(1), None]), pack(np.stack([segment(2), segment(3)]))])
    for row, value in ((0, 1), (2, 2), (3, 3)):
        np.testing.assert_array_equal(unpack(packed, row), segment(value))
    assert packed[1].as_py() == b""
    np.testing.assert_array_equal(unpack(packed.slice(3), 0), segment(3))


def test_a_block_of_two_sections_is_told_apart() -> None:
    first, second = sections_of(chunks(("a", 0, 0, 2), ("a", 0, 1, 2), ("a", 1, 0, 1)))
    assert [row for row, _ in first] == [0, 1]
    assert [row for row, _ in second] == [2]


@pytest.mark.parametrize("split", [[("a", 0, 0, 2)], [("a", 0, 1, 2)], [("a", 0, 1, 2), ("a", 0, 0, 2)]])
def test_a_section_that_was_split_is_never_stitched(split: list[tuple[str, int, int, int]]) -> None:
    with pytest.raises(RuntimeError, match="a block was split"):
        sections_of(chunks(*split))


def test_a_row_in_error_is_a_section_of_its_own() -> None:
    (group,) = sections_of(chunks(("a", 0, 0, 0), failure=BAD))
    assert group[0][1].section.track.status == "error"
