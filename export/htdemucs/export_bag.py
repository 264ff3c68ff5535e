"""A bag of htdemucs checkpoints -> a model folder."""

from pathlib import Path

from export.htdemucs.origin import Request
from export.model_folder import write_model_folder
from separation.models.bag import Bag


def export(request: Request, out: Path, stems: list[str] | None, precision: str) -> Bag:
    """Exports the specialists of `stems` (None: all) from the checkpoints that `request` names to `out`."""
    return write_model_folder(request.specialists(), request.name, request.origin, out, stems, precision)
