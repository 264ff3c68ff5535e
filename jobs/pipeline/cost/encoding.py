"""The CPUs that encoders need beside a GPU."""

from separation.options import Format

# Seconds of audio a second in an L4, four graphs of htdemucs's size (estimated: docs/benchmarks.md).
L4_X_REALTIME = {"fp32": 19, "fp16": 35}
# CPU-seconds to encode one second of one stem (measured, AMD EPYC Zen 4).
ENCODING_S: dict[Format, float] = {"mp3": 0.157 / 4, "ogg": 0.045 / 4, "flac": 0.007 / 4, "wav": 0.002 / 4}


def encoder_cpus(format: Format, written: int, graphs: int, in_fp16: bool) -> float:
    """The CPUs that encode `written` stems of what an L4 infers; each graph is taken for one of htdemucs's
    size."""
    x_realtime = L4_X_REALTIME["fp16" if in_fp16 else "fp32"] * 4 / graphs
    return round(written * ENCODING_S[format] * x_realtime, 3)
