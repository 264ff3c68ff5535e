"""Audio as a stream of blocks (channels, n): the same samples in blocks of another size."""

from collections.abc import Iterable, Iterator

import numpy as np

BLOCK = 65_536  # samples: the size of the blocks in which audio is measured, stitched and written


class BlockBuffer:
    """Collects blocks (channels, n) of any size and gives blocks (channels, size), then a shorter last one.

    Sums and encoders that work block by block give the same bits only for the same blocks.
    """

    def __init__(self, size: int):
        self._size = size
        self._parts: list[np.ndarray] = []
        self.waiting = 0  # samples added and not yet given

    def add(self, block: np.ndarray) -> Iterator[np.ndarray]:
        """Adds a block; gives the full blocks that this completes. Must be iterated to its end."""
        self._parts.append(block)
        self.waiting += block.shape[1]
        if self.waiting < self._size:
            return
        joined = np.concatenate(self._parts, axis=1)
        full = self.waiting - self.waiting % self._size
        self._parts, self.waiting = [joined[:, full:].copy()], self.waiting - full
        for start in range(0, full, self._size):
            yield joined[:, start : start + self._size]

    def flush(self) -> Iterator[np.ndarray]:
        """The samples after the last full block, if any; empties the buffer."""
        if self.waiting:
            yield np.concatenate(self._parts, axis=1)
        self._parts, self.waiting = [], 0


def reblock(blocks: Iterable[np.ndarray], size: int = BLOCK) -> Iterator[np.ndarray]:
    """The same samples in blocks of `size`, the last one shorter."""
    buffer = BlockBuffer(size)
    for block in blocks:
        yield from buffer.add(block)
    yield from buffer.flush()
