"""The KubeRay files are valid, equal to each other, and true to the job."""

import copy
import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

import jobs.separate.__main__
from tests.cluster.conftest import CLUSTER, ROOT
from tests.cluster.custom_resources import POD_MONITOR, RAY_CLUSTER, RAY_JOB
from tests.cluster.test_eks import EKS

KUBERNETES = EKS["metadata"]["version"]


def load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CLUSTER / "kuberay" / name).read_text())
    return content


RESOURCE, JOB = load("raycluster.yaml"), load("rayjob.yaml")
GROUPS = {"head": RESOURCE["spec"]["headGroupSpec"]} | {
    group["groupName"]: group for group in RESOURCE["spec"]["workerGroupSpecs"]
}


@pytest.mark.parametrize(("content", "schema"), [(RESOURCE, RAY_CLUSTER), (JOB, RAY_JOB)])
def test_the_operator_takes_it(content: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.validate(content, schema)
    misspelt = copy.deepcopy(content) | {"spec": content["spec"] | {"enableInTreeAutoscalling": True}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(misspelt, schema)


@pytest.mark.parametrize("name", GROUPS)
def test_kubernetes_takes_the_pods(name: str) -> None:
    pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}}
    kubernetes_validate.validate(pod | {"template": GROUPS[name]["template"]}, KUBERNETES, strict=True)


def test_prometheus_takes_the_monitor() -> None:
    jsonschema.validate(load("podmonitor.yaml"), POD_MONITOR)


def test_the_job_brings_the_same_cluster() -> None:
    assert JOB["spec"]["rayClusterSpec"] == RESOURCE["spec"]


def test_ray_reads_the_nodes_from_it() -> None:
    """By Ray's own autoscaler, which validates what it derives."""
    cluster = copy.deepcopy(RESOURCE)
    cluster["metadata"]["namespace"] = "default"
    types = _derive_autoscaling_config_from_ray_cr(cluster)["available_node_types"]
    resources = {
        name: {k: v for k, v in t["resources"].items() if k != "memory"} for name, t in types.items()
    }
    assert resources == {"headgroup": {"CPU": 0}, "l4": {"CPU": 3, "GPU": 1}, "cpu": {"CPU": 15}}
    assert types["l4"]["max_workers"] == types["cpu"]["max_workers"] == 16


def test_it_is_the_ray_of_the_package_and_asks_for_a_token() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = map(Requirement, project["optional-dependencies"]["cluster"])
    (ray,) = [requirement for requirement in requirements if requirement.name == "ray"]
    assert RESOURCE["spec"]["rayVersion"] in ray.specifier
    assert RESOURCE["spec"]["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize("name", GROUPS)
def test_no_container_is_root_and_memory_is_a_promise(name: str) -> None:
    pod = GROUPS[name]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    for container in (*pod["containers"], *pod["initContainers"]):
        assert container["resources"]["requests"] == container["resources"]["limits"]


@pytest.mark.parametrize("name", GROUPS)
def test_a_container_has_no_more_rights_than_it_uses(name: str) -> None:
    """Only the autoscaler, in the head's pod, talks to Kubernetes."""
    pod = GROUPS[name]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is (name == "head")
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    autoscaler = RESOURCE["spec"]["autoscalerOptions"]
    for container in (*pod["containers"], *pod["initContainers"], autoscaler):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("name", GROUPS)
def test_logs_outlive_their_pod(name: str) -> None:
    """A sidecar, which ends after Ray, reads Ray's folder, and writes where the policy lets it."""
    pod, config = GROUPS[name]["template"]["spec"], load("logs.yaml")
    kubernetes_validate.validate(config, KUBERNETES, strict=True)
    (sidecar,), (ray,) = pod["initContainers"], pod["containers"]
    assert sidecar["restartPolicy"] == "Always"  # what makes an init container a sidecar
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in sidecar["volumeMounts"]}
    (written,) = ray["volumeMounts"]
    assert written == {"name": "ray-logs", "mountPath": mounts["ray-logs"]}
    assert volumes["ray-logs"]["emptyDir"] == {}
    assert volumes["logs-config"]["configMap"] == {"name": config["metadata"]["name"]}
    _, option, path = sidecar["command"]
    ((file, text),) = config["data"].items()
    assert (option, path) == ("-c", f"{mounts['logs-config']}/{file}")

    pipeline = yaml.safe_load(text)["pipeline"]
    (tail,), (s3,) = pipeline["inputs"], pipeline["outputs"]
    folder = f"{mounts['ray-logs']}/session_latest/logs/"
    assert {Path(pattern).suffix for pattern in tail["path"].split(",")} == {".log", ".out", ".err"}
    assert all(pattern.startswith(f"{folder}*") for pattern in tail["path"].split(","))
    assert tail["tag"] == s3["match"]
    key = s3["s3_key_format"]
    assert set(re.findall(r"\$\{(\w+)\}", key)) == {variable["name"] for variable in sidecar["env"]}
    allowed = json.loads((CLUSTER / "iam-policy.json").read_text())["Statement"][-1]
    assert allowed["Action"] == "s3:PutObject" and s3["use_put_object"]
    assert f"arn:aws:s3:::{s3['bucket']}{key}".startswith(allowed["Resource"].removesuffix("*"))
    rule = json.loads((CLUSTER / "lifecycle.json").read_text())["Rules"][-1]
    assert key.startswith("/" + rule["Filter"]["Prefix"])
    assert "UUID" in key  # or two objects of a second would be one


def test_the_entrypoint_is_a_command_of_the_job() -> None:
    program, _, rest = JOB["spec"]["entrypoint"].partition(" || ")
    words = shlex.split(program)
    assert words[:3] == ["python", "-m", "jobs.separate"]
    args = jobs.separate.__main__.parser().parse_args(words[3:])
    (container,) = GROUPS["l4"]["template"]["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert (args.nodes, args.node_cpus) == (GROUPS["l4"]["maxReplicas"], float(limits["cpu"]))
    assert (args.node_gpus, args.node_memory_gb) == (1, float(limits["memory"].removesuffix("Gi")))
    assert rest == "[ $? -eq 1 ]"


@pytest.mark.parametrize(("code", "seen"), [(0, 0), (1, 0), (2, 1)])
def test_only_a_stopped_job_is_tried_again(code: int, seen: int, tmp_path: Path) -> None:
    """The entrypoint as Ray's job supervisor runs it, with a `python` that exits as the job would."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexit {code}\n")
    python.chmod(0o700)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run(JOB["spec"]["entrypoint"], shell=True, env=environment).returncode == seen


def test_prometheus_names_the_cluster_as_the_dashboard_does() -> None:
    (endpoint,) = load("podmonitor.yaml")["spec"]["podMetricsEndpoints"]
    (relabeling,) = endpoint["relabelings"]
    queries = {
        target["expr"]
        for panel in json.loads((CLUSTER / "grafana/stemfleet.json").read_text())["panels"]
        for target in panel.get("targets", [])
    }
    assert all(f'{relabeling["targetLabel"]}=~"$cluster"' in query for query in queries)
