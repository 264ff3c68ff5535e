"""From demucs checkpoints to ONNX specialists. torch, demucs and onnx live only here."""
