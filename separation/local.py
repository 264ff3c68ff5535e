"""One track at a time on this machine, without Ray: the sessions of a bag, and mixes separated with them.

`python -m separation` writes the result to files, `stemfleet.Separator` returns it as arrays.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from separation.audio.stem_files import Blocks, MixMinus
from separation.blocks import reblock
from separation.grid import plan_chunks, stride_of
from separation.models.bag import Bag, fetch, read_bag
from separation.models.specialist import Specialist
from separation.options import Options
from separation.separator import parallel_specialists, separate
from separation.store.objects import Store


def load(
    bag: Bag, stems: Sequence[str], provider: str, threads: int, cache: Path, store: Store
) -> dict[str, Specialist]:
    """A session per stem; those that run in parallel share the CPU `threads`."""
    each = threads // parallel_specialists(threads, len(stems))
    return {
        stem: Specialist(
            fetch(bag, stem, cache / "models", store),
            stem,
            bag.stems,
            provider=provider,
            threads=each,
            sha256=bag.specialists[stem].sha256,
            cache=cache / "optimized",
        )
        for stem in stems
    }


class LocalSeparator:
    """The sessions that `options` need of the models at `models`, a folder, an fsspec URI or "demo"."""

    stems: tuple[str, ...]  # what `separate` returns, in this order
    specialists: Mapping[str, Specialist]

    def __init__(
        self, models: str | Path, options: Options, provider: str, threads: int, cache: Path, store: Store
    ):
        bag = read_bag(models, store)
        inferred = options.specialists(bag.stems)
        self._options = options
        self._parallel = parallel_specialists(threads, len(inferred))
        self.stems = options.outputs(bag.stems)
        self.specialists = load(bag, inferred, provider, threads, cache, store)

    def chunks(self, samples: int) -> int:
        """How many chunks the specialists infer together for a mix of that length."""
        stride = stride_of(self._options.overlap)
        grids = [plan_chunks(samples, stride, shift) for shift in self._options.grid_shifts]
        return len(self.specialists) * sum(map(len, grids))

    def separate(
        self, mix: np.ndarray, on_chunk: Callable[[str], None] = lambda stem: None
    ) -> dict[str, Blocks]:
        """`mix`, float32 (2, samples) at 44.1 kHz, as one iterable of blocks (2, n) per stem of `stems`.

        `on_chunk` is called with a specialist's stem after each of its chunks, from its thread.
        """
        stitched = separate(
            mix,
            self.specialists,
            overlap=self._options.overlap,
            shifts=self._options.grid_shifts,
            parallel=self._parallel,
            skip_silence=self._options.skip_silence,
            on_chunk=on_chunk,
        )
        stems: dict[str, Blocks] = dict(stitched)
        if kept := self._options.two_stems:
            stems[f"no_{kept}"] = MixMinus(list(reblock([mix])), stitched[kept])
        return {stem: stems[stem] for stem in self.stems}
