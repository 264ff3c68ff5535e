"""The steps on a small model, with a GPU that computes on the CPU; how children end, and the verdict."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.gpu_check import load, plan, process, run, steps
from export.gpu_check.case import SEGMENTS, Case, Setting
from export.gpu_check.child import Child, DoesNotHold, Figures
from export.gpu_check.plan import STEPS, Step
from export.parity import music_like
from separation.contract import Contract
from separation.errors import ModelError
from separation.models.bag_json import read_bag
from separation.models.graph_files import sha256_of
from tests.bags import rows_graph
from tests.recorded_gpu import CPU, CUDA, Gpu, Part, recorded_gpu
from tests.stores import STORE

CONTRACT = Contract(44_100, 2, segment=20_000, stride=15_000, max_shift=0)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """With one product in place of a network, in both precisions the same."""
    case = Case(tmp_path_factory.mktemp("case"), CONTRACT)
    for precision in plan.PRECISIONS:
        onnx.save(rows_graph([3], CONTRACT), case.file(precision))
    segments = np.concatenate([music_like(seed, CONTRACT) for seed in range(SEGMENTS)])
    np.save(case.folder / "segments.npy", segments)
    ramp = np.linspace(0.5, 1.5, CONTRACT.segment, dtype=np.float32)
    np.save(case.folder / "expected.npy", 3 * ramp * segments[: steps.COMPARED, None])
    return case


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    return recorded_gpu(monkeypatch)


@pytest.mark.parametrize("precision", plan.PRECISIONS)
def test_what_has_to_hold_of_a_gpu(
    case: Case, gpu: Gpu, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    assert steps.placement(case, precision)["device"] == "NVIDIA L4"
    assert steps.parity(case, precision)["snr_db"] > 60
    mine = steps.hashes(case, precision)
    monkeypatch.setattr(steps, "result_of", lambda folder, function, *arguments: mine)
    assert steps.bits(case, precision) == {"batch_changes_bits": mine["beside_one"] != mine["first"]}
    for differs, words in (
        ({"second": "x"}, "two runs"),
        ({"beside_another": "x"}, "other chunk of its batch"),
    ):
        monkeypatch.setattr(steps, "hashes", lambda *_, differs=differs: mine | differs)
        with pytest.raises(DoesNotHold, match=words):
            steps.bits(case, precision)
    monkeypatch.setattr(steps, "hashes", lambda *_: mine | {"first": "x", "second": "x"})
    with pytest.raises(DoesNotHold, match="two processes"):
        steps.bits(case, precision)
    gpu.parts.append(Part(CPU, ("MatMul",)))
    with pytest.raises(ModelError, match="1 MatMul"):
        steps.placement(case, precision)


def test_parity_is_held_to_the_bar_of_the_precision(case: Case, gpu: Gpu, tmp_path: Path) -> None:
    worse = Case(tmp_path, CONTRACT)
    for name in ("fp32.onnx", "fp16.onnx", "segments.npy"):
        (tmp_path / name).symlink_to(case.folder / name)
    np.save(tmp_path / "expected.npy", case.expected * 1.0001)  # 80 dB
    assert steps.parity(worse, "fp16")["snr_db"] > 60
    with pytest.raises(DoesNotHold, match=r"^80\.0 dB .* at least 100 dB"):
        steps.parity(worse, "fp32")


def test_a_gpu_that_opens_although_it_is_missing_is_told(case: Case, gpu: Gpu) -> None:
    with pytest.raises(DoesNotHold, match=f"opens all the same, on {CUDA} of NVIDIA L4"):
        steps.missing_device(case)


def test_settings_are_opened_as_they_say(case: Case, gpu: Gpu) -> None:
    figures = steps.tf32(case, "fp32", "use_tf32=1", "prepared")
    assert figures["snr_db"] > 100  # on the CPU, which has no TF32
    session = Setting((("use_tf32", "1"),), deterministic=False, batch=2).open(case.file("fp32"), "fp32")
    assert session.get_inputs()[0].shape[0] == 2
    for opened, deterministic in zip(gpu.sessions, (True, False), strict=True):
        ((name, options),) = opened["providers"]
        assert (name, options["use_tf32"], options["cudnn_conv_algo_search"]) == (CUDA, "1", "HEURISTIC")
        assert (opened["override"], opened["enable_fallback"]) == ("0", 0)
        assert opened["options"].use_deterministic_compute == deterministic


def test_speeds_are_measured_in_the_batch_that_they_name(
    case: Case, gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = iter([500.0, 1_200.4])
    monkeypatch.setattr(load, "_used_mb", lambda: next(used))
    monkeypatch.setattr(load, "ROUNDS", 1)
    monkeypatch.setattr(load, "_seconds", lambda work: (work(), 0.4)[1])
    figures = load.speed(case, "fp32", "4")
    assert figures["session_mb"] == 700
    assert gpu.sizes == [4, 4, 4]  # at load, to warm up, and timed
    assert (figures["ms"], figures["x_realtime"]) == (100.0, round(case.chunk_s / 0.1 / 4, 1))
    assert set(load.settings(case, "fp32")) == set(load.SETTINGS)
    gpu.sizes.clear()
    assert set(load.changed_batch(case, "fp32")) == {"first_ms", "later_ms"}
    assert gpu.sizes == [2, 2, 1, 1, 1]


def test_an_actor_works_for_as_long_as_it_is_told(case: Case, gpu: Gpu) -> None:
    figures = load.actor(case, "fp32", "prepared", str(time.time() + 0.5), "0.2")
    assert figures["chunks"] >= 1 and figures["cpu_s"] > 0 and figures["late_s"] == 0
    assert load.actor(case, "fp32", "prepared", "0", "0")["late_s"] > 0


def test_the_benchmark_s_models_are_four_graphs_of_the_case(case: Case) -> None:
    bag = read_bag(load._four_specialists(case), STORE)
    assert list(bag.graphs) == list(bag.stems) == ["drums", "bass", "other", "vocals"]
    for graph in bag.graphs.values():
        assert (graph.precision, graph.sha256) == ("fp16", sha256_of(case.file("fp16")))
    assert bag.contracts == {"htdemucs": CONTRACT}


def test_every_step_has_a_function() -> None:
    assert len({step.name for step in STEPS}) == len(STEPS)
    for step in STEPS:
        assert hasattr(steps, step.function) or hasattr(load, step.function)
    required = {step.function for step in STEPS if step.required}
    assert required == {
        *("versions", "export", "missing_device", "missing_cudnn", "placement", "parity", "bits")
    }


def test_a_process_prints_figures_or_the_reason(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    process.main(str(case.folder), "versions")
    assert json.loads(capsys.readouterr().out)["figures"]["packages"]
    process.main(str(case.folder), "placement")  # of which precision?
    assert json.loads(capsys.readouterr().out)["reason"].startswith("TypeError: ")


MODULE = """
import sys, time, os
what = sys.argv[2]
if what == "hangs": time.sleep(600)
if what == "dies": sys.exit("Segmentation fault")
print("noise"); print('{"figures": {"a": 1}}' if what == "works" else '{"reason": "no GPU"}')
"""


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("works", None),
        ("fails", "^no GPU$"),
        ("dies", "^the process ended with 1: Segmentation fault$"),
        ("hangs", r"^not done within 0\.5 s$"),
    ],
)
def test_however_a_child_ends_there_is_a_result(tmp_path: Path, what: str, reason: str | None) -> None:
    (tmp_path / "stub.py").write_text(MODULE)
    child = Child(tmp_path, what, environment={"PYTHONPATH": str(tmp_path)}, module="stub")
    limit_s = 0.5 if what == "hangs" else None
    if reason is None:
        assert child.result(limit_s) == {"a": 1}
        return
    with pytest.raises(DoesNotHold, match=reason):
        child.result(limit_s)


def test_without_a_gpu_the_rest_is_named_and_the_check_fails(
    case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real processes; in place of the export, they find the case's model."""

    def attempt(step: Step, folder: Path) -> Figures:
        if step.function == "export":
            return {}
        return run.in_a_process(step, case.folder)

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    why = run.gpu_check(attempt=attempt)
    lines = capsys.readouterr().out.splitlines()
    found = [json.loads(line) for line in lines[: len(STEPS)]]
    assert [each["step"] for each in found if each["holds"]] == ["versions", "export", "missing_device"]
    assert not [each for each in found if each["holds"] is False]
    assert {each["reason"] for each in found if each["holds"] is None} == {"needs a GPU"}
    assert why.startswith(
        "no GPU to check missing_cudnn, placement fp32, placement fp16, parity fp32, parity fp16, bits fp32, "
        f"bits fp16: {found[0]['cause']}"
    )
    table = "\n".join(lines[len(STEPS) :])
    assert "| missing_device | yes | said " in table
    assert "need a GPU: missing_cudnn, placement fp32" in table


@pytest.mark.long
def test_the_command_exports_the_model_and_ends_with_1_without_a_gpu() -> None:
    command = [sys.executable, "-m", "export", "gpu-check"]
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, env=hidden, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found = {line["step"]: line for line in lines}
    assert found["export"]["holds"] and found["export"]["fp16_mb"] > 80
    assert found["missing_device"]["holds"]
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith("error: no GPU to check missing_cudnn, ")


def test_the_check_goes_on_after_a_failure_and_fails_only_for_what_is_required(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def attempt(step: Step, folder: Path) -> Figures:
        if step.name in failing:
            raise DoesNotHold("why")
        machine = {"gpu": "NVIDIA L4", "cpus": 4, "packages": ["torch 2"]}
        return machine if step.name == "versions" else {"x": 1}

    failing = ["speed fp32 1", "benchmark mp3"]
    assert run.gpu_check(attempt=attempt) == ""
    out = capsys.readouterr().out
    assert "NVIDIA L4, 4 CPUs, torch 2." in out
    assert "| speed fp32 1 | **no** | why |" in out and "| speed fp32 2 | yes | x 1 |" in out
    failing = ["parity fp16", "bits fp32"]
    assert run.gpu_check(attempt=attempt) == "what has to hold does not: parity fp16, bits fp32"
