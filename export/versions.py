"""What is installed, for reports: an engine comes from whichever of its packages is there."""

from importlib.metadata import PackageNotFoundError, version

# The extra gpu has another onnxruntime than the extra cpu.
PACKAGES = ("torch", "onnxruntime", "onnxruntime-gpu", "openvino", "demucs", "numpy")


def versions() -> list[str]:
    """Name and version of each of PACKAGES that is installed."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found
