"""A model folder beside PyTorch: how far every stem is from the checkpoint it was made of."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from export.htdemucs.checkpoints import SpecialistModel
from export.htdemucs.origin import Request
from export.parity import BARS, Parity, compare, music_like, torch_stem
from separation.models.bag import Bag, fetch
from separation.models.specialist import Specialist

SEGMENT_SEED = 0


def verify(bag: Bag, request: Request, provider: str = "cpu", batches: Sequence[int] = ()) -> bool:
    """Prints a line a stem and batch; whether all of them meet the bar of the bag's precision."""
    bar = BARS[bag.precision]
    print(f"{bag.precision}: at least {bar.snr_db:g} dB, at most {bar.max_over_peak:g} of the peak")
    print(f"{'stem':<8} {'session':<12} {'batch':>5} {'SNR dB':>7} {'max/peak':>9} {'MB':>6}")
    good, left = True, set(bag.stems)
    for source in request.specialists():
        if source.stem not in left:
            continue
        left.remove(source.stem)
        size = bag.specialists[source.stem].bytes / 1e6
        for session, batch, parity in _parities(bag, source, provider, batches):
            meets = parity.meets(bar)
            good = good and meets
            print(
                f"{source.stem:<8} {session:<12} {batch:5} {parity.snr_db:7.1f} "
                f"{parity.max_over_peak:9.1e} {size:6.1f}{'' if meets else '  falls short'}",
                flush=True,
            )
    return good and not left


def _parities(
    bag: Bag, source: SpecialistModel, provider: str, batches: Sequence[int]
) -> Iterator[tuple[str, int, Parity]]:
    """The specialist as actors run it, a segment at a time; then each batch's worst segment."""
    path = fetch(bag, source.stem, Path(bag.uri))
    segments = [music_like(SEGMENT_SEED + index) for index in range(max((1, *batches)))]
    expected = [torch_stem(source.model, source.row, segment) for segment in segments]
    specialist = Specialist(path, source.stem, bag.stems, provider)
    yield provider, 1, compare(expected[0], specialist(segments[0]))
    del specialist
    if not batches:
        return
    run = _batched(path)
    for batch in batches:
        stems = run(np.concatenate(segments[:batch]))
        parities = [compare(expected[index], stems[index : index + 1]) for index in range(batch)]
        worst = Parity(min(p.snr_db for p in parities), max(p.max_over_peak for p in parities))
        yield "onnxruntime", batch, worst


def _batched(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The graph with its batch axis free, where a CPU's `Specialist` takes one segment at a time."""
    options = onnxruntime.SessionOptions()
    options.enable_mem_pattern = False  # every batch has other sizes
    session = onnxruntime.InferenceSession(path.read_bytes(), options, ["CPUExecutionProvider"])
    return lambda segments: session.run(["stem"], {"mix": segments})[0]
