"""A bag of htdemucs checkpoints -> a model folder."""

from pathlib import Path

from export.htdemucs.origin import Request
from export.model_folder import write_model_folder
from separation.models.bag import Bag


def export(request: Request, out: Path, stems: list[str] | None, precision: str) -> Bag:
    """Exports what `stems` (None: all) need of the checkpoints that `request` names to `out`."""
    return write_model_folder(request.models(stems), request.name, request.origin, out, precision)
