"""The training set: seeded songs kept on disk, and batches that remix them.

A batch depends on the seed and the step alone, so a resumed run sees the batches it would have seen.
"""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from band.song import song, split
from export.htdemucs.arguments import SOURCES
from separation.store.disk.atomic_write import atomic_write

SECONDS = 24.0  # per song: short ones begin anywhere in the form, so timbres change more often


def stored(folder: Path, split_name: str, count: int, processes: int = 2) -> list[np.ndarray]:
    """The first `count` songs of a split, each (4, 2, samples) float16, memory-mapped from its file.

    Songs that are not in `folder` yet are made, about 25 times faster than real time on one core.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seeds = split(split_name)[:count]
    paths = [folder / f"{split_name}-{number:05}.npy" for number in range(count)]
    missing = [(seed, path) for seed, path in zip(seeds, paths, strict=True) if not path.exists()]
    if missing:
        with ProcessPoolExecutor(processes) as pool:
            list(pool.map(_store, *zip(*missing, strict=True)))
    return [np.load(path, mmap_mode="r") for path in paths]


def _store(seed: int, path: Path) -> None:
    sounds = song(seed, SECONDS)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.stack([sounds[stem] for stem in SOURCES]).astype(np.float16))


def draw_batch(songs: list[np.ndarray], rng: np.random.Generator, size: int, length: int) -> np.ndarray:
    """(size, 4, 2, length) float32 stems; a quarter of the items are remixes of four songs.

    Gains, the channels' order and polarity change as in demucs's augment.py. In the other items all stems
    are of one song and stay aligned in time.
    """
    batch = np.empty((size, len(SOURCES), 2, length), np.float32)
    for item in batch:
        together = rng.random() < 0.75
        number = rng.integers(len(songs))
        start = rng.integers(songs[number].shape[2] - length + 1)
        for stem, sound in enumerate(item):
            if not together:
                number = rng.integers(len(songs))
                start = rng.integers(songs[number].shape[2] - length + 1)
            sound[:] = songs[number][stem, :, start : start + length]
            sound *= rng.choice((-1, 1)) * 10 ** (rng.uniform(-3, 3) / 20)
            if rng.random() < 0.5:
                sound[:] = sound[::-1].copy()
    return batch
