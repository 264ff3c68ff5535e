"""Names as 64-bit marks: what a catalogue of millions costs in memory is 8 bytes a name.

Two of forty million names share a mark with a chance of one in 20,000; then one wrong file could pass.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

EVERY = 2**64


def mark(name: str) -> int:
    data = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def marks(names: Iterable[str]) -> np.ndarray:
    """uint64 (names,)."""
    return np.fromiter((mark(name) for name in names), np.uint64)


def contains(ordered: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which of `wanted` are in the sorted `ordered`: bool (wanted,)."""
    if not len(ordered):
        return np.zeros(len(wanted), bool)
    places = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return np.asarray(ordered[places] == wanted)


def draw(names: np.ndarray, seed: int) -> np.ndarray:
    """A number for each mark, drawn by the seed: the lowest ones are the sample. uint64 (names,)."""
    numbers = names ^ np.uint64(mark(f"seed {seed}"))
    for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):  # the finaliser of splitmix64
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(multiplier)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)))
