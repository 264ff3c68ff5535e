"""What Ray raises becomes the sentence that a user needs; no cluster is started."""

import os
import subprocess
import sys

import pytest
import ray
from ray._private.worker import listen_error_messages
from ray.exceptions import RayError, RayTaskError

from jobs.pipeline import ray_session
from jobs.pipeline.ray_session import ClusterError, cause
from separation.errors import ModelError, UsageError


def test_the_cause_is_ours_where_there_is_one() -> None:
    ours = ModelError("models/bass.onnx", "sha256 is another")
    wrapped = RayTaskError("infer", "traceback", ours)
    outer = RuntimeError("a stage failed")
    outer.__cause__ = wrapped
    assert cause(ours) == cause(wrapped) == cause(outer) == str(ours)
    dead = RayError("The actor died\n  at line 3\nseparation.errors.WrongProvider: bass: runs on CPU\n")
    assert cause(dead) == "bass: runs on CPU"
    assert cause(RayError("the node is gone")) == "the node is gone"


def test_connecting_translates_what_ray_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "init", lambda **_: None)
    with pytest.raises(ClusterError, match=r"^the node is gone$"), ray_session.connect():
        raise RayError("the node is gone")
    with pytest.raises(UsageError, match="as it is"), ray_session.connect():
        raise UsageError("as it is")


def test_a_cluster_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise ConnectionError("127.0.0.1:1")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ClusterError, match=r"no Ray cluster answers: 127\.0\.0\.1:1"), ray_session.connect():
        pass


def test_messages_of_ray_s_daemons_are_logged_and_never_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Ray's thread looks the function up where it is replaced, and prints to stdout, where JSON lines go."""
    names = listen_error_messages.__code__.co_names
    assert "print_to_stdstream" in names
    monkeypatch.setattr(ray, "init", lambda **_: None)
    with ray_session.connect(), caplog.at_level("INFO"):
        for said in ("12 PYTHON worker processes have been started", "2 workers killed: memory pressure"):
            listen_error_messages.__globals__["print_to_stdstream"](
                {"lines": [said], "pid": "raylet", "is_err": False}, ignore_prefix=False
            )
    assert capsys.readouterr() == ("", "")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", "raylet: 12 PYTHON worker processes have been started"),
        ("WARNING", "raylet: 2 workers killed: memory pressure"),
    ]


def test_lines_of_ray_s_core_are_left_out_and_no_others(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def write(**_: object) -> None:
        os.write(2, b"[2026-11-28 10:40:19,701 I 25854 25854] logging.cc:303: Set ray log level\n")
        print("2026-11-28 10:40:19,701 WARNING services.py:1 -- the disk is full", file=sys.stderr)

    monkeypatch.setattr(ray, "init", write)
    with ray_session.connect():
        os.write(2, b"later\n")
    assert capfd.readouterr() == (
        "",
        "2026-11-28 10:40:19,701 WARNING services.py:1 -- the disk is full\nlater\n",
    )


@pytest.mark.parametrize("kind", [Exception, RuntimeError, ValueError, TimeoutError])
def test_ray_that_does_not_start_is_one_sentence(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise kind("The current node timed out during startup.\n  This could happen\n")

    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(ClusterError) as caught, ray_session.connect():
        pass
    assert str(caught.value) == (
        "Ray does not start: The current node timed out during startup. This could happen"
    )


def test_the_claim_of_a_killed_driver_expires_within_half_a_minute() -> None:
    """Ray reads the setting where it is imported: in a process of its own, as a driver is."""
    show = """
import jobs.pipeline.dataset
from ray.data._internal.cluster_autoscaler import RateBasedClusterAutoscaler as Autoscaler
print(Autoscaler.AUTOSCALING_REQUEST_EXPIRE_TIME_S)
"""
    setting = "RAY_DATA_AUTOSCALING_REQUEST_EXPIRE_TIME_S"
    environment = {name: value for name, value in os.environ.items() if name != setting}
    driver = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True)
    assert driver.stdout == "30\n", driver.stderr
