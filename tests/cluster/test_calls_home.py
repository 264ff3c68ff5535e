"""Ray reports a cluster's use to its maker unless told not to: every head in `cluster/` and `scripts/` is."""

import re
from typing import Any

import pytest
import yaml
from ray._common.usage import usage_lib

from tests.cluster.conftest import CLUSTER, ROOT

OFF = {"name": "RAY_USAGE_STATS_ENABLED", "value": "0"}
STARTS = re.compile(r"\bray (?:start|up)\b(?:[^\n`]|\\\n)*?-(?:[^\n`]|\\\n)*")  # with at least one option


def test_what_ray_takes_for_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OFF["name"], OFF["value"])
    assert not usage_lib.usage_stats_enabled()
    monkeypatch.delenv(OFF["name"])
    assert usage_lib.usage_stats_enabled()


def test_in_the_image() -> None:
    (line,) = re.findall(r"^ENV (.+)$", (CLUSTER / "image/Dockerfile").read_text(), re.MULTILINE)
    assert {"RAY_USAGE_STATS_ENABLED=0", "ORT_DISABLE_TELEMETRY=1"} <= set(line.split())


@pytest.mark.parametrize("name", ["raycluster", "rayjob"])
def test_in_every_container_on_kubernetes(name: str) -> None:
    spec: dict[str, Any] = yaml.safe_load((CLUSTER / f"kuberay/{name}.yaml").read_text())["spec"]
    spec = spec.get("rayClusterSpec", spec)
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for container in [each for group in groups for each in group["template"]["spec"]["containers"]]:
        assert OFF in container["env"]


def test_in_every_container_of_the_launcher() -> None:
    launcher = yaml.safe_load((CLUSTER / "launcher/aws.yaml").read_text())
    assert "--env=RAY_USAGE_STATS_ENABLED=0" in launcher["docker"]["run_options"]
    for kind in ("head", "worker"):
        assert "--disable-usage-stats" in launcher[f"{kind}_start_ray_commands"][-1]


def test_in_every_command_that_starts_a_cluster() -> None:
    texts = [path.read_text() for path in (*(ROOT / "docs").glob("*.md"), ROOT / "README.md")]
    commands = [command for text in texts for command in STARTS.findall(text)]
    assert len(commands) >= 2
    assert all("--disable-usage-stats" in command for command in commands), commands
    script = (ROOT / "scripts/local_cluster.py").read_text()
    assert script.count('"start", "--head"') == script.count("--disable-usage-stats") == 1
