"""Sets of names as sorted arrays of 64-bit hashes: 8 bytes per name, for catalogues of millions of tracks.

Among forty million names, two share a hash with a probability of one in 20,000; then one wrong file could
pass.
"""

import hashlib
from collections.abc import Iterable

import numpy as np

HASHES = 2**64  # how many there are: the upper limit of `draw`


def hash_name(name: str) -> int:
    data = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def hash_names(names: Iterable[str]) -> np.ndarray:
    """uint64 (names,), in their order."""
    return np.fromiter((hash_name(name) for name in names), np.uint64)


def contains(ordered: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which of `wanted` are in the sorted `ordered`: bool (wanted,)."""
    if not len(ordered):
        return np.zeros(len(wanted), bool)
    indices = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return np.asarray(ordered[indices] == wanted)


def draw(hashes: np.ndarray, seed: int) -> np.ndarray:
    """A pseudo-random number per hash, from the hash and `seed` alone; the lowest ones are the sample.

    uint64 (hashes,) -> uint64 (hashes,).
    """
    numbers = hashes ^ np.uint64(hash_name(f"seed {seed}"))
    for multiplier in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):  # the finaliser of splitmix64
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(multiplier)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)))
