"""The EKS cluster and its node pools are valid, use the policies here, and hold the pods of kuberay/."""

import json
import re
from functools import cache
from typing import Any

import boto3
import jsonschema
import pytest
import yaml
from moto import mock_aws
from ray._private import ray_constants

from tests.cluster.conftest import ACCOUNT, CLUSTER, ROOT
from tests.cluster.custom_resources import EKS_CLUSTER, NODE_CLASS, NODE_POOL, Schema

EKS: dict[str, Any] = yaml.safe_load((CLUSTER / "eks/cluster.yaml").read_text())
NODE_CLASSES, *NODE_POOLS = yaml.safe_load_all((CLUSTER / "eks/nodepools.yaml").read_text())
POOLS = {pool["metadata"]["name"]: pool["spec"] for pool in NODE_POOLS}
RAY: dict[str, Any] = yaml.safe_load((CLUSTER / "kuberay/raycluster.yaml").read_text())["spec"]
GROUPS = {"head": RAY["headGroupSpec"]} | {group["groupName"]: group for group in RAY["workerGroupSpecs"]}
PAGE = (ROOT / "docs/kubernetes.md").read_text()
SPOT_NOTICE_S = 120
OF_THE_SYSTEM = {
    "cpu": 0.25,
    "memory": 0.5,
}  # requests of the daemon sets: network, kube-proxy, device plugin; GiB
AUTOSCALER = {"cpu": 0.5, "memory": 0.5}  # KubeRay's default for the container beside the head


def pool_of(group: str) -> str:
    name: str = GROUPS[group]["template"]["spec"]["nodeSelector"]["karpenter.sh/nodepool"]
    return name


def values(pool: str, key: str) -> list[str]:
    (found,) = [
        requirement["values"]
        for requirement in POOLS[pool]["template"]["spec"]["requirements"]
        if (requirement["key"], requirement["operator"]) == (key, "In")
    ]
    return list(found)


@pytest.mark.parametrize(
    ("content", "schema", "path"),
    [
        (EKS, EKS_CLUSTER, ("managedNodeGroups", 0, "volumeEncrypted")),
        (NODE_CLASSES, NODE_CLASS, ("spec", "metadataOptions", "httpTokens")),
        *((pool, NODE_POOL, ("spec", "template", "spec", "expireAfter")) for pool in NODE_POOLS),
    ],
    ids=["cluster", "class", *POOLS],
)
def test_it_has_only_fields_that_exist(
    content: dict[str, Any], schema: Schema, path: tuple[str, ...]
) -> None:
    jsonschema.validate(content, schema)
    misspelt = json.loads(json.dumps(content))
    parent = misspelt
    for key in path[:-1]:
        parent = parent[key]
    parent[f"{path[-1]}s"] = parent.pop(path[-1])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(misspelt, schema)


def test_the_jobs_pods_have_the_rights_of_the_policy_here() -> None:
    """Its text is in iam-policy.json alone: the page makes the policy from it, under the name used here."""
    job, karpenter = EKS["iam"]["podIdentityAssociations"]
    accounts = {pod["template"]["spec"]["serviceAccountName"] for pod in GROUPS.values()}
    assert {job["serviceAccountName"]} == accounts
    (arn,) = job["permissionPolicyARNs"]
    name = arn.removeprefix(f"arn:aws:iam::{ACCOUNT}:policy/")
    made = r"aws iam create-policy --policy-name (\S+) --policy-document file://cluster/iam-policy\.json"
    assert re.findall(made, PAGE.replace("\\\n   ", "")) == [name]
    assert karpenter["serviceAccountName"] == "karpenter"
    assert all(policy.endswith("-" + EKS["metadata"]["name"]) for policy in karpenter["permissionPolicyARNs"])


def test_karpenter_finds_its_subnets_group_and_role() -> None:
    name = EKS["metadata"]["name"]
    spec = NODE_CLASSES["spec"]
    tag = {"karpenter.sh/discovery": EKS["metadata"]["tags"]["karpenter.sh/discovery"]}
    assert spec["securityGroupSelectorTerms"] == [{"tags": tag}]
    assert spec["subnetSelectorTerms"] == [{"tags": tag | {"kubernetes.io/role/internal-elb": "1"}}]
    (entry,) = EKS["accessConfig"]["accessEntries"]
    assert entry["principalARN"] == f"arn:aws:iam::{ACCOUNT}:role/{spec['role']}"
    assert f"settings.clusterName={name} " in PAGE and f"settings.interruptionQueue={name} " in PAGE
    for pool in POOLS.values():
        assert pool["template"]["spec"]["nodeClassRef"] == {
            "group": NODE_CLASSES["apiVersion"].partition("/")[0],
            "kind": NODE_CLASSES["kind"],
            "name": NODE_CLASSES["metadata"]["name"],
        }


def test_every_resource_is_on_the_bill() -> None:
    tag = {"project": "stemfleet"}
    assert NODE_CLASSES["spec"]["tags"] == tag
    assert tag.items() <= EKS["metadata"]["tags"].items()
    for part in (*EKS["managedNodeGroups"], *EKS["addons"], *EKS["iam"]["podIdentityAssociations"]):
        assert part["tags"] == tag


def test_disks_are_encrypted_and_pods_do_not_reach_a_nodes_role() -> None:
    (disk,) = NODE_CLASSES["spec"]["blockDeviceMappings"]
    assert disk["ebs"]["encrypted"] and disk["ebs"]["deleteOnTermination"]
    assert NODE_CLASSES["spec"]["metadataOptions"] == {"httpTokens": "required", "httpPutResponseHopLimit": 1}
    for group in EKS["managedNodeGroups"]:
        assert group["volumeEncrypted"] and group["disablePodIMDS"] and group["privateNetworking"]


def test_the_machine_image_is_a_release_and_not_the_latest() -> None:
    (term,) = NODE_CLASSES["spec"]["amiSelectorTerms"]
    assert re.fullmatch(r"al2023@v20\d{6}", term["alias"])


@pytest.mark.parametrize("group", GROUPS)
def test_spot_is_for_workers(group: str) -> None:
    allowed = ["on-demand"] if group == "head" else ["spot", "on-demand"]
    assert values(pool_of(group), "karpenter.sh/capacity-type") == allowed


@pytest.mark.parametrize("group", GROUPS)
def test_a_pool_holds_its_group(group: str) -> None:
    """Its limit, its taints and its second type."""
    pool, pod = POOLS[pool_of(group)], GROUPS[group]["template"]["spec"]
    assert len(values(pool_of(group), "node.kubernetes.io/instance-type")) >= 2
    tolerated = {toleration["key"] for toleration in pod.get("tolerations", [])}
    assert {taint["key"] for taint in pool["template"]["spec"].get("taints", [])} == tolerated
    nodes = GROUPS[group].get("maxReplicas", 1)
    (kind, limit), *_ = pool["limits"].items()
    per_node = 1 if kind == "nvidia.com/gpu" else cpus_of_a_node(group)
    assert limit >= nodes * per_node
    is_gpu = "nvidia.com/gpu" in pod["containers"][0]["resources"]["limits"]
    labels = pool["template"].get("metadata", {}).get("labels", {})
    assert labels == ({"nvidia.com/gpu.present": "true"} if is_gpu else {})


def cpus_of_a_node(group: str) -> int:
    return max(described(name)["VCpuInfo"]["DefaultVCpus"] for name in types(group))


def types(group: str) -> list[str]:
    return values(pool_of(group), "node.kubernetes.io/instance-type")


@cache
def described(name: str) -> Any:
    """EC2's description of an instance type, as moto has it."""
    with mock_aws():
        (found,) = boto3.client("ec2", "us-east-1").describe_instance_types(InstanceTypes=[name])[
            "InstanceTypes"
        ]
    return found


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "head"])
def test_the_types_of_a_workers_pool_give_the_same_bits(group: str) -> None:
    """The same GPU; or, without one, the same family of processors: seventh generation, Intel."""
    gpus, families = set(), set()
    for name in types(group):
        machine = described(name)
        gpus.update((gpu["Name"], gpu["Count"]) for gpu in machine.get("GpuInfo", {}).get("Gpus", []))
        families.add(re.fullmatch(r"[a-z]+(\d[a-z]*)\.\w+", name)[1])  # type: ignore[index]
    assert gpus == ({("L4", 1)} if group == "l4" else set())
    assert len(families) == 1


@pytest.mark.parametrize("name", [(group, name) for group in GROUPS for name in types(group)], ids=":".join)
def test_a_pod_fits_its_node(name: tuple[str, str]) -> None:
    """By what Karpenter expects a node to offer.

    Memory without 7.5 %, without the kubelet's share for the most pods that may run (255 MiB and 11 for
    each), and without 100 MiB at which pods are evicted; CPUs without 6 % of the first, 1 % of the second,
    0.5 % of the next two and 0.25 % of the rest.
    """
    group, instance_type = name
    machine = described(instance_type)
    most_pods = NODE_CLASSES["spec"]["kubelet"]["maxPods"]
    cpus = machine["VCpuInfo"]["DefaultVCpus"]
    memory = machine["MemoryInfo"]["SizeInMiB"] * (1 - 0.075) - (255 + 11 * most_pods) - 100
    free = {
        "cpu": cpus - 0.06 - 0.01 - 0.005 * 2 - 0.0025 * max(0, cpus - 4) - OF_THE_SYSTEM["cpu"],
        "memory": memory / 1024 - OF_THE_SYSTEM["memory"],
    }
    pod = GROUPS[group]["template"]["spec"]
    for kind, wanted in free.items():
        asked = sum(
            quantity(container["resources"]["requests"][kind])
            for container in (*pod["containers"], *pod["initContainers"])
        )
        assert asked + (AUTOSCALER[kind] if group == "head" else 0) <= wanted, kind


def quantity(text: str) -> float:
    """CPUs, or GiB."""
    for unit, factor in {"Gi": 1.0, "Mi": 1 / 1024, "m": 1 / 1000}.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


@pytest.mark.parametrize("group", GROUPS)
def test_a_node_is_left_alone_and_ended_in_good_time(group: str) -> None:
    template, pool = GROUPS[group]["template"], POOLS[pool_of(group)]
    assert template["metadata"]["annotations"] == {"karpenter.sh/do-not-disrupt": "true"}
    assert pool["disruption"]["consolidationPolicy"] == "WhenEmpty"
    assert pool["disruption"]["budgets"] == [{"nodes": "0", "reasons": ["Drifted"]}]
    assert pool["template"]["spec"]["expireAfter"] == "Never"

    grace = template["spec"]["terminationGracePeriodSeconds"]
    (ray,) = template["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in ray["env"]}
    assert hasattr(ray_constants, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S")  # read under this name
    drain = float(environment["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    logs = yaml.safe_load((CLUSTER / "kuberay/logs.yaml").read_text())["data"]["fluent-bit.yaml"]
    assert drain + yaml.safe_load(logs)["service"]["grace"] < grace < SPOT_NOTICE_S
    of_the_pool = pool["template"]["spec"].get("terminationGracePeriod")
    assert of_the_pool == (None if group == "head" else f"{grace}s")  # the head's node waits for its job
