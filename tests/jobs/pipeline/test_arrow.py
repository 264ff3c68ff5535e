from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from jobs.pipeline.arrow import pack, sections_of, unpack
from separation.contract import CHANNELS, SEGMENT


def segment(value: float) -> np.ndarray:
    return np.full((CHANNELS, SEGMENT), value, np.float32)


def chunks(*rows: tuple[str, int, int, int], status: str = "ok") -> pa.Table:
    """Rows of (track_id, section, chunk, chunks) with audio beside them."""
    columns: list[dict[str, Any]] = [
        {
            "track_id": track,
            "uri": track,
            "status": status,
            "section": section,
            "chunk": chunk,
            "chunks": count,
        }
        for track, section, chunk, count in rows
    ]
    table = pa.Table.from_pylist(columns)
    return table.append_column("drums", pack([segment(row[2]) for row in rows]))


def test_audio_comes_out_as_it_went_in_also_in_slices_and_joined_blocks() -> None:
    packed = pa.chunked_array([pack([segment(1), None]), pack(np.stack([segment(2), segment(3)]))])
    for row, value in ((0, 1), (2, 2), (3, 3)):
        np.testing.assert_array_equal(unpack(packed, row), segment(value))
    assert packed[1].as_py() == b""
    np.testing.assert_array_equal(unpack(packed.slice(3), 0), segment(3))


def test_a_block_of_two_sections_is_told_apart() -> None:
    first, second = sections_of(chunks(("a", 0, 0, 2), ("a", 0, 1, 2), ("a", 1, 0, 1)))
    assert [row["at"] for row in first] == [0, 1]
    assert [row["at"] for row in second] == [2]


@pytest.mark.parametrize("split", [[("a", 0, 0, 2)], [("a", 0, 1, 2)], [("a", 0, 1, 2), ("a", 0, 0, 2)]])
def test_a_section_that_was_split_is_never_stitched(split: list[tuple[str, int, int, int]]) -> None:
    with pytest.raises(RuntimeError, match="a block was split"):
        sections_of(chunks(*split))


def test_a_row_in_error_is_a_section_of_its_own() -> None:
    (group,) = sections_of(chunks(("a", 0, 0, 0), status="error"))
    assert group[0]["status"] == "error"
