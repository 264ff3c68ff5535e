"""The core of stemfleet: a mix in, stems out. numpy and onnxruntime; no Ray, no torch."""

import os
import sys

__version__ = "0.1.0"

# The engines report to their makers when they are imported, and keep an id below the user's home. What the
# user has set or imported before stays as it is.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it were not installed
