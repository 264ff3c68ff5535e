"""Audio in blocks: the same audio cut elsewhere."""

from collections.abc import Iterable, Iterator

import numpy as np

BLOCK = 65_536  # samples: the size in which stitched and measured audio moves on


class BlockBuffer:
    """Blocks (channels, n) of any size in, blocks (channels, size) out, and one shorter rest.

    What sums or encodes block by block gives the same bits only for the same blocks.
    """

    def __init__(self, size: int):
        self._size = size
        self._parts: list[np.ndarray] = []
        self.held = 0  # samples waiting for the next full block

    def add(self, block: np.ndarray) -> Iterator[np.ndarray]:
        self._parts.append(block)
        self.held += block.shape[1]
        if self.held < self._size:
            return
        joined = np.concatenate(self._parts, axis=1)
        full = self.held - self.held % self._size
        self._parts, self.held = [joined[:, full:].copy()], self.held - full
        for start in range(0, full, self._size):
            yield joined[:, start : start + self._size]

    def rest(self) -> Iterator[np.ndarray]:
        """The samples after the last full block, if there are any."""
        if self.held:
            yield np.concatenate(self._parts, axis=1)
        self._parts, self.held = [], 0


def reblock(blocks: Iterable[np.ndarray], size: int = BLOCK) -> Iterator[np.ndarray]:
    """The same samples in blocks of `size`, the last one shorter."""
    blocker = BlockBuffer(size)
    for block in blocks:
        yield from blocker.add(block)
    yield from blocker.rest()
