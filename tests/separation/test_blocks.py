import numpy as np
import pytest

from separation.blocks import BlockBuffer


@pytest.mark.parametrize("sizes", [[1] * 25, [25], [10, 10, 5], [0, 3, 22], [9, 11, 5]])
def test_blocks_come_out_full_and_in_order(sizes: list[int]) -> None:
    audio = np.arange(50, dtype=np.float32).reshape(2, 25)
    buffer, out, start = BlockBuffer(10), [], 0
    for size in sizes:
        out += list(buffer.add(audio[:, start : start + size]))
        start += size
    out += list(buffer.flush())
    assert [block.shape[1] for block in out] == [10, 10, 5]
    np.testing.assert_array_equal(np.concatenate(out, axis=1), audio)


def test_no_rest_after_full_blocks() -> None:
    buffer = BlockBuffer(5)
    assert len(list(buffer.add(np.zeros((2, 10), np.float32)))) == 2
    assert list(buffer.flush()) == []
