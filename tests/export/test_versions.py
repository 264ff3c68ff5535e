from importlib.metadata import PackageNotFoundError

import pytest

from export import versions


def test_the_onnxruntime_that_is_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_extra_gpu(name: str) -> str:
        if name in ("onnxruntime", "openvino"):
            raise PackageNotFoundError(name)
        return "1.31.1"

    found = [each.split()[0] for each in versions.versions()]
    assert found == ["torch", "onnxruntime", "openvino", "demucs", "numpy"]
    monkeypatch.setattr(versions, "version", of_the_extra_gpu)
    found = versions.versions()
    assert found == [f"{name} 1.31.1" for name in ("torch", "onnxruntime-gpu", "demucs", "numpy")]
