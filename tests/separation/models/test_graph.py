import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from separation.contract import HTDEMUCS, Contract
from separation.errors import ModelError, UsageError
from separation.models.graph import Graph
from separation.models.graph_files import sha256_of
from tests.bags import FOUR_STEMS, rows_graph

OURS = ["batch", 2, HTDEMUCS.segment]


def graph_file(
    path: Path,
    shape: list[object] = OURS,
    names: tuple[str, str] = ("mix", "stem"),
    kind: int = TensorProto.FLOAT,
    rows: tuple[float, ...] = (),
) -> Path:
    """A graph that doubles its input, or multiplies it by each of `rows`."""
    mix, stem = names
    out = [shape[0], len(rows), *shape[1:]] if rows else shape
    factor = np.array(rows, np.float32)[None, :, None, None] if rows else np.array(2.0)
    initializers = [
        numpy_helper.from_array(factor.astype(helper.tensor_dtype_to_np_dtype(kind)), "factor"),
        numpy_helper.from_array(np.array([1]), "axis"),
    ]
    nodes = [helper.make_node("Mul", ["wide" if rows else mix, "factor"], [stem])]
    if rows:
        nodes.insert(0, helper.make_node("Unsqueeze", [mix, "axis"], ["wide"]))
    values = [helper.make_tensor_value_info(mix, kind, shape), helper.make_tensor_value_info(stem, kind, out)]
    graph = helper.make_graph(nodes, "graph", values[:1], values[1:], initializers)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


@pytest.fixture
def segments() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((3, 2, HTDEMUCS.segment), dtype=np.float32)


def load(path: Path, *rows: str, published: tuple[str, ...] = (), **options: Any) -> Graph:
    return Graph(path, "drums", HTDEMUCS, rows or ("drums",), published, **options)


def test_runs_and_says_where(tmp_path: Path, segments: np.ndarray) -> None:
    graph = load(graph_file(tmp_path / "drums.onnx"), threads=1, spinning=False)
    assert np.array_equal(graph(segments), 2 * segments[:, None])
    assert graph(segments[:0]).shape == (0, 1, 2, HTDEMUCS.segment)
    assert graph.provider == "CPUExecutionProvider"
    assert graph.device
    assert graph.load_s > 0


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_a_graph_of_several_rows_gives_all(tmp_path: Path, provider: str) -> None:
    contract = Contract(44_100, 2, segment=1_000, stride=750, max_shift=0)
    onnx.save(rows_graph([1, 3, 5], contract), tmp_path / "a.onnx")
    graph = Graph(tmp_path / "a.onnx", "a", contract, ("x", "y", "z"), provider=provider)
    segments = np.random.default_rng(0).standard_normal((3, 2, 1_000), dtype=np.float32)
    ramp = np.linspace(0.5, 1.5, 1_000, dtype=np.float32)
    expected = segments[:, None] * ramp * np.array([1, 3, 5], np.float32)[:, None, None]
    np.testing.assert_allclose(graph(segments), expected, rtol=1e-6)
    with pytest.raises(ModelError, match=r"expected mix float32 \(batch, 2, 1000\) -> \(batch, 2, 2, 1000\)"):
        Graph(tmp_path / "a.onnx", "a", contract, ("x", "y"))


def test_a_graph_of_all_rows_gives_its_own(tmp_path: Path, segments: np.ndarray) -> None:
    """Published exports have a batch of 1 and other names of inputs and outputs."""
    path = graph_file(tmp_path / "a.onnx", [1, 2, HTDEMUCS.segment], ("input", "output"), rows=(1, 3, 5, 7))
    wide = segments[:, None]
    assert np.array_equal(load(path, "other", published=FOUR_STEMS)(segments), 5 * wide)
    assert np.array_equal(load(path, "other", published=FOUR_STEMS[::-1])(segments), 3 * wide)
    assert np.array_equal(
        load(path, *FOUR_STEMS)(segments), np.array([1, 3, 5, 7], np.float32)[:, None, None] * wide
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"names": ("input", "stem")},
        {"names": ("mix", "output")},
        {"shape": ["batch", 2, HTDEMUCS.segment - 1]},
        {"shape": ["batch", 1, HTDEMUCS.segment]},
        {"shape": [4, 2, HTDEMUCS.segment]},
        {"kind": TensorProto.DOUBLE},
        {"shape": [1, 2, HTDEMUCS.segment], "rows": (1, 2, 3)},
    ],
)
def test_graphs_against_the_contract(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"the graph has .*expected mix float32 \(batch, 2, 343980\)"):
        load(graph_file(tmp_path / "a.onnx", **wrong))


def test_files_that_are_no_graphs(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    with pytest.raises(ModelError, match="No such file"):
        load(path)
    path.write_bytes(b"RIFF")
    with pytest.raises(ModelError, match="not an ONNX file"):
        load(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="onnxruntime cannot load it"):
        load(path)
    ort = onnxruntime.SessionOptions()
    ort.optimized_model_filepath = str(path)
    ort.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(graph_file(tmp_path / "b.onnx"), ort)
    onnxruntime.InferenceSession(path.read_bytes())  # which takes its own format too, unless told otherwise
    with pytest.raises(ModelError, match=r"not an ONNX file|refuses"):
        load(path)


def test_the_bytes_that_were_hashed_are_loaded(tmp_path: Path) -> None:
    """The file may have been replaced since `fetch` checked it."""
    path = graph_file(tmp_path / "a.onnx")
    sha256 = sha256_of(path)
    assert load(path, sha256=sha256).provider
    path.write_bytes(path.read_bytes() + b"\x10\x00")
    with pytest.raises(ModelError, match=f"expected {sha256}"):
        load(path, sha256=sha256)


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    model = onnx.load(graph_file(tmp_path / "a.onnx"))
    onnx.save(model, tmp_path / "b.onnx", save_as_external_data=True, location="weights", size_threshold=0)
    assert (tmp_path / "weights").exists()
    with pytest.raises(ModelError, match="in another file"):
        load(tmp_path / "b.onnx")


def test_an_unknown_provider_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"provider 'tensorrt'; expected one of auto, cpu, cuda, openvino"):
        load(tmp_path / "a.onnx", provider="tensorrt")


@pytest.mark.parametrize("wrong", [np.float64, np.float16])
def test_segments_against_the_contract(tmp_path: Path, segments: np.ndarray, wrong: type) -> None:
    graph = load(graph_file(tmp_path / "a.onnx"))
    with pytest.raises(UsageError, match="expected float32"):
        graph(segments.astype(wrong))
    with pytest.raises(UsageError, match="expected float32"):
        graph(segments[..., 1:])


def test_the_core_imports_neither_torch_nor_onnx_nor_ray() -> None:
    code = (
        "import sys, separation.models.bag, separation.models.graph;"
        "sys.exit(' '.join({'torch', 'onnx', 'ray', 'demucs'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
