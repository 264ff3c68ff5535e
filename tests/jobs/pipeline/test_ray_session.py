"""What Ray raises becomes the sentence that a user needs; no cluster is started."""

import os
import subprocess
import sys

import pytest
import ray
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
