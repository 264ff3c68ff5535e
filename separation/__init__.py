"""The core of stemfleet: a mix in, stems out. numpy and onnxruntime; no Ray, no torch."""

__version__ = "0.1.0"
