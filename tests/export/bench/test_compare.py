from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from export.bench.compare import Line, report
from export.bench.gpu import bench_gpu
from export.htdemucs import published
from export.htdemucs.arguments import SOURCES
from export.htdemucs.bag_model import contract_of
from export.htdemucs.graph import HTDemucsModule, to_onnx
from export.parity import BARS, Parity, compare, music_like, torch_rows
from separation.models.graph import Graph
from tests.export.conftest import CONTRACT, SMALL, music


def test_the_published_graph_computes_the_model_and_runs_as_a_graph_of_format_1(tmp_path: Path) -> None:
    """All four rows in one output; its own error (long norms) is what the benchmark shows."""
    model, segments = SMALL.model("other"), music(1)
    path = tmp_path / "published.onnx"
    path.write_bytes(published.to_onnx(model))
    for row, stem in ((0, "drums"), (2, "other")):
        graph = Graph(path, stem, CONTRACT, (stem,), published=SOURCES, provider="cpu", threads=1)
        assert compare(torch_rows(model, [row], segments), graph(segments)).snr_db > 50


def test_the_report_sets_every_line_beside_pytorch() -> None:
    lines = [
        Line("PyTorch", [2.0, 4.0, 3.0]),
        Line("fp32", [1.0, 2.0, 1.5], Parity(121.0, 6e-7), 85.5, 0.9, 700.0),
    ]
    lines.append(Line("fp16", [], Parity(70.0, 1e-3), 85.6))
    text = report(lines, 309, 100.0, "a processor", 1)
    assert "| PyTorch | 3.00; 2.00 to 4.00 | 1.00 | 103% |" in text
    assert "| fp32 | 1.50; 1.00 to 2.00 | 2.00 | 206% | 121.0 | 6.0e-07 | 85.5 | 0.90 | 700 |" in text
    assert "| fp16 |  |  |  | 70.0 | 1.0e-03 | 85.6 |  |  |" in text
    assert "a processor, 1 thread, torch " in text


def test_the_table_of_a_gpu_as_a_cpu_computes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row but the compiler's own speed: here it stands aside, since it asks for a C++ compiler."""
    monkeypatch.setattr(torch, "compile", lambda model: model)
    model = replace(SMALL, segment=Fraction(1)).model("other")
    contract = contract_of(model)
    (tmp_path / "fp32.onnx").write_bytes(to_onnx(HTDemucsModule(model, [2], "fp32")))
    graph = Graph(tmp_path / "fp32.onnx", "other", contract, ("other",), provider="cpu", threads=1)
    ours = {"fp32, onnxruntime": (graph, [2])}
    text = bench_gpu(model, lambda batch: ours, music_like(1, contract), rounds=1, device="cpu", batches=(1,))
    assert text.startswith("| cpu, batch 1 |")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:] if line]
    found = {row[0]: float(row[3]) for row in rows}
    assert list(found) == ["PyTorch fp32", "PyTorch fp16", "PyTorch fp16, compiled", "fp32, onnxruntime"]
    assert found["fp32, onnxruntime"] > 100
    assert 30 < found["PyTorch fp16"] < 100  # it is float16, and it is the same model


@pytest.mark.parametrize("snr_db", [float("nan"), 99.9])
def test_no_bar_is_met_by_less_or_by_nan(snr_db: float) -> None:
    assert not Parity(snr_db, 1e-9).meets(BARS["fp32"])
    assert not Parity(200.0, float("nan")).meets(BARS["fp32"])
