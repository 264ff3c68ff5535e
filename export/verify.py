"""A model folder beside PyTorch: how far every stem is from the checkpoint it was exported from."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from export.model_folder import TEST_SEGMENT_SEED, ExportableModel
from export.parity import BARS, Parity, compare, music_like
from separation.models.bag import Bag, fetch
from separation.models.specialist import Specialist
from separation.store.objects import Store


def verify(
    bag: Bag,
    models: Iterable[ExportableModel],
    store: Store,
    provider: str = "cpu",
    batches: Sequence[int] = (),
) -> bool:
    """Whether every stem of `bag` meets the bar of its precision; prints one line per stem and batch.

    `models` are what the bag was exported from, in any order; stems that the bag lacks are skipped.
    """
    bar = BARS[bag.precision]
    print(f"{bag.precision}: at least {bar.snr_db:g} dB, at most {bar.max_over_peak:g} of the peak")
    print(f"{'stem':<8} {'session':<12} {'batch':>5} {'SNR dB':>7} {'max/peak':>9} {'MB':>6}")
    all_meet, missing = True, set(bag.stems)
    for model in models:
        if model.stem not in missing:
            continue
        missing.remove(model.stem)
        size = bag.specialists[model.stem].bytes / 1e6
        for session, batch, parity in _parities(bag, model, provider, batches, store):
            meets = parity.meets(bar)
            all_meet = all_meet and meets
            print(
                f"{model.stem:<8} {session:<12} {batch:5} {parity.snr_db:7.1f} "
                f"{parity.max_over_peak:9.1e} {size:6.1f}{'' if meets else '  falls short'}",
                flush=True,
            )
    return all_meet and not missing


def _parities(
    bag: Bag, model: ExportableModel, provider: str, batches: Sequence[int], store: Store
) -> Iterator[tuple[str, int, Parity]]:
    """Session name, batch size and parity: the specialist as actors run it, one segment at a time, then the
    worst segment of each batch."""
    path = fetch(bag, model.stem, Path(bag.uri), store)
    segments = [music_like(TEST_SEGMENT_SEED + index) for index in range(max((1, *batches)))]
    expected = [model.run(segment) for segment in segments]
    specialist = Specialist(path, model.stem, bag.stems, provider)
    yield provider, 1, compare(expected[0], specialist(segments[0]))
    del specialist
    if not batches:
        return
    run = _open_batched(path)
    for batch in batches:
        stems = run(np.concatenate(segments[:batch]))
        parities = [compare(expected[index], stems[index : index + 1]) for index in range(batch)]
        worst = Parity(min(p.snr_db for p in parities), max(p.max_over_peak for p in parities))
        yield "onnxruntime", batch, worst


def _open_batched(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The graph with its batch axis free; on a CPU `Specialist` takes one segment at a time."""
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False  # a pattern holds for one batch size only
    session = onnxruntime.InferenceSession(path.read_bytes(), options, ["CPUExecutionProvider"])
    return lambda segments: session.run(["stem"], {"mix": segments})[0]
