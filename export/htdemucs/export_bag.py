"""A bag of htdemucs checkpoints -> a model folder."""

import hashlib
from pathlib import Path

from export.htdemucs.checkpoints import SpecialistModel
from export.htdemucs.graph import SpecialistModule, to_onnx
from export.htdemucs.origin import Request
from export.parity import measure, music_like
from export.verify import SEGMENT_SEED
from separation.errors import UsageError
from separation.models.bag import Bag, SpecialistFile, write_bag
from separation.models.specialist import Specialist


def export(request: Request, out: Path, stems: list[str] | None, precision: str) -> Bag:
    """Writes the specialists of `stems` (all of them by default) and then bag.json."""
    out.mkdir(parents=True, exist_ok=True)
    files, order = {}, []
    for specialist in request.specialists():
        order.append(specialist.stem)
        if stems is not None and specialist.stem not in stems:
            continue
        content = to_onnx(SpecialistModule(specialist.model, specialist.row, precision))
        path = out / f"{specialist.stem}.onnx"
        path.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        snr_db = None if precision == "fp32" else _snr_db(specialist, path)
        files[specialist.stem] = SpecialistFile(
            path.name, sha256, len(content), specialist.source, specialist.source_sha256, snr_db
        )
        said = "" if snr_db is None else f"{snr_db:.1f} dB  "
        print(f"{path}  {len(content) / 1e6:.1f} MB  {said}from {specialist.source}", flush=True)
    if unknown := set(stems or ()) - set(order):
        raise UsageError(f"{request.bag} has no {', '.join(sorted(unknown))}; it has {', '.join(order)}")
    kept = tuple(stem for stem in order if stem in files)
    bag = Bag(str(out), request.name, kept, precision, files, request.origin)
    write_bag(bag, out)
    return bag


def _snr_db(source: SpecialistModel, path: Path) -> float:
    """What the precision costs, on onnxruntime's CPU: to a tenth, finer is the processor's rounding."""
    specialist = Specialist(path, source.stem, provider="cpu")
    return round(measure(source.model, source.row, specialist, music_like(SEGMENT_SEED)).snr_db, 1)
