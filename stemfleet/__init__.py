"""stemfleet: music source separation, from one file to a catalogue.

    from stemfleet import Separator

    separator = Separator("demo")  # or a folder of models, or its fsspec URI
    stems = separator.separate("song.flac")  # {"drums": float32 (samples, channels), ...}

The command `stemfleet` reaches every program. It needs none of what `Separator` imports, so the names below
are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING

from separation import __version__

__all__ = [
    "DeviceError",
    "ModelError",
    "SeparationError",
    "Separator",
    "TrackError",
    "UsageError",
    "WrongProvider",
    "__version__",
]

if TYPE_CHECKING:
    from separation.errors import (
        DeviceError,
        ModelError,
        SeparationError,
        TrackError,
        UsageError,
        WrongProvider,
    )
    from stemfleet.separator import Separator
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = "stemfleet.separator" if name == "Separator" else "separation.errors"
        return getattr(importlib.import_module(module), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
