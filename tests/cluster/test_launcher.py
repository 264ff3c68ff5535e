"""The launcher file means to Ray what it says: by Ray's own validation, provider and autoscaler."""

import shlex
import sys
from functools import partial
from typing import Any

import boto3
import pytest
import yaml
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
from ray.autoscaler._private.loader import load_function_or_class
from ray.autoscaler._private.node_provider_availability_tracker import NodeProviderAvailabilityTracker
from ray.autoscaler._private.resource_demand_scheduler import get_nodes_for
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.tags import (
    TAG_RAY_LAUNCH_CONFIG,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_NAME,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)
from ray.scripts.scripts import cli

from tests.cluster.conftest import CLUSTER, ROOT

LAUNCHER = CLUSTER / "launcher/aws.yaml"
GROUP = "sg-0123456789abcdef0"


def config(group: str = GROUP) -> dict[str, Any]:
    """The file with Ray's defaults, which Ray's schema accepts."""
    prepared = prepare_config(yaml.safe_load(LAUNCHER.read_text().replace(GROUP, group)))
    validate_config(prepared)
    return prepared


TYPES = config()["available_node_types"]


def test_ray_accepts_the_file() -> None:
    prepared = config()
    assert prepared["head_node_type"] == "head"
    assert prepared["max_workers"] >= TYPES["l4_spot"]["max_workers"]


def test_the_providers_machines_are_those_of_the_file(aws: str) -> None:
    """`ray up`'s steps before SSH, and one launch of each type, against an EC2 server."""
    ec2, iam = boto3.client("ec2"), boto3.client("iam")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName="stemfleet", Description="-", VpcId=vpc)["GroupId"]
    for name in ("stemfleet-head", "stemfleet-worker"):
        iam.create_instance_profile(InstanceProfileName=name)
    ready = AWSNodeProvider.bootstrap_config(config(group))
    provider = AWSNodeProvider(ready["provider"], ready["cluster_name"])
    for name, node_type in ready["available_node_types"].items():
        names = (TAG_RAY_NODE_KIND, TAG_RAY_NODE_NAME, TAG_RAY_NODE_STATUS, TAG_RAY_LAUNCH_CONFIG)
        tags = {**dict.fromkeys(names, "-"), TAG_RAY_USER_NODE_TYPE: name}
        provider.create_node(node_type["node_config"], tags, 1)

    found = {}
    for reservation in ec2.describe_instances()["Reservations"]:
        for machine in reservation["Instances"]:
            tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
            profile = machine["IamInstanceProfile"]["Arn"].rpartition("/")[2]
            assert [g["GroupId"] for g in machine["SecurityGroups"]] == [group]
            assert tags["project"] == "stemfleet"
            (disk,) = [mapping["Ebs"]["VolumeId"] for mapping in machine["BlockDeviceMappings"]]
            (volume,) = ec2.describe_volumes(VolumeIds=[disk])["Volumes"]
            assert volume["Tags"] == [{"Key": "project", "Value": "stemfleet"}]
            found[tags[TAG_RAY_USER_NODE_TYPE]] = (
                machine["InstanceType"],
                machine.get("InstanceLifecycle", "on-demand"),
                profile,
            )
    assert found == {
        "head": ("m7i.xlarge", "on-demand", "stemfleet-head"),
        "l4_spot": ("g6.xlarge", "spot", "stemfleet-worker"),
        "l4_on_demand": ("g6.xlarge", "on-demand", "stemfleet-worker"),
        "l4_8cpu_spot": ("g6.2xlarge", "spot", "stemfleet-worker"),
        "l4_8cpu_on_demand": ("g6.2xlarge", "on-demand", "stemfleet-worker"),
        "cpu_64gb_spot": ("m7i.4xlarge", "spot", "stemfleet-worker"),
        "cpu_64gb_on_demand": ("m7i.4xlarge", "on-demand", "stemfleet-worker"),
        "cpu_spot": ("c7i.4xlarge", "spot", "stemfleet-worker"),
        "cpu_on_demand": ("c7i.4xlarge", "on-demand", "stemfleet-worker"),
    }
    assert len(ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]) == 0


def test_stated_cpus_and_gpus_are_those_of_the_instance_types(aws: str) -> None:
    workers = [node_type for name, node_type in TYPES.items() if name != "head"]
    names = {node_type["node_config"]["InstanceType"] for node_type in workers}
    described = boto3.client("ec2").describe_instance_types(InstanceTypes=sorted(names))["InstanceTypes"]
    have = {}
    for machine in described:
        resources = {"CPU": machine["VCpuInfo"]["DefaultVCpus"]}
        for gpu in machine.get("GpuInfo", {}).get("Gpus", []):
            assert gpu["Name"] == "L4"
            resources["GPU"] = gpu["Count"]
        have[machine["InstanceType"]] = resources
    for node_type in workers:
        assert node_type["resources"] == have[node_type["node_config"]["InstanceType"]]


def test_spot_comes_first_whatever_the_names(scorer_of: Any) -> None:
    """Ray takes equals by name, the last one first."""
    types = {"b_on_demand": TYPES["l4_on_demand"], "a_spot": TYPES["l4_spot"]}
    added, _ = get_nodes_for(types, {}, "head", 1, [L4_ACTOR], scorer_of([]))
    assert dict(added) == {"a_spot": 1}


L4_ACTOR, DECODE = {"GPU": 0.25, "CPU": 0.25}, {"CPU": 0.3}


@pytest.mark.parametrize(
    ("refused", "demands", "started"),
    [
        ([], [L4_ACTOR] * 8, {"l4_spot": 2}),
        (["l4_spot"], [L4_ACTOR] * 8, {"l4_8cpu_spot": 2}),
        (["l4_spot", "l4_8cpu_spot"], [L4_ACTOR] * 8, {"l4_on_demand": 2}),
        (["l4_spot", "l4_8cpu_spot", "l4_on_demand"], [L4_ACTOR] * 8, {"l4_8cpu_on_demand": 2}),
        ([], [DECODE] * 60, {"cpu_spot": 2}),
        (["cpu_spot"], [DECODE] * 60, {"cpu_64gb_spot": 2}),
        (["cpu_spot", "cpu_64gb_spot"], [DECODE] * 60, {"cpu_on_demand": 2}),
        (
            [name for name in TYPES if name.startswith("cpu")],
            [DECODE] * 60,
            {"cpu_spot": 2},
        ),  # still no L4 for CPU work
        ([], [L4_ACTOR] * 4 * 20, {"l4_spot": 16, "l4_8cpu_spot": 4}),
        # Work for both: the L4s' spare CPUs take decoding before a CPU node is started for it.
        (["l4_spot", "l4_8cpu_spot"], [L4_ACTOR] * 4 + [DECODE] * 5, {"l4_on_demand": 1}),
    ],
)
def test_spot_first_and_on_demand_where_spot_is_refused(
    refused: list[str], demands: list[dict[str, float]], started: dict[str, int], scorer_of: Any
) -> None:
    added, left = get_nodes_for(TYPES, {"head": 1}, "head", 32, demands, scorer_of(refused))
    assert (dict(added), left) == (started, [])


@pytest.fixture
def scorer_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The score that the head's start command names, after EC2 refused some node types."""
    monkeypatch.setattr(sys, "path", [str(CLUSTER / "launcher"), *sys.path])
    (setting,) = [word for word in head_start() if word.startswith("RAY_AUTOSCALER_UTILIZATION_SCORER=")]
    score = load_function_or_class(setting.partition("=")[2])

    def scorer(refused: list[str]) -> Any:
        tracker = NodeProviderAvailabilityTracker()
        for node_type in refused:
            reason = NodeLaunchException("InsufficientInstanceCapacity", "-", None)
            tracker.update_node_availability(node_type, 2**40, reason)
        return partial(score, node_availability_summary=tracker.summary())

    return scorer


def head_start() -> list[str]:
    return shlex.split(config()["head_start_ray_commands"][-1])


def test_the_head_runs_no_work_and_its_dashboard_is_on_loopback() -> None:
    assert TYPES["head"]["resources"] == {"CPU": 0}
    assert TYPES["head"]["max_workers"] == 0
    assert {"--num-cpus=0", "--dashboard-host=127.0.0.1", "RAY_enable_autoscaler_v2=0"} <= set(head_start())
    assert "spot" not in str(TYPES["head"]["node_config"])


def test_every_option_of_ray_start_exists() -> None:
    options = {name for parameter in cli.commands["start"].params for name in parameter.opts}
    worker = shlex.split(config()["worker_start_ray_commands"][-1])
    used = {word.partition("=")[0] for word in [*head_start(), *worker] if word.startswith("--")}
    assert {"--head", "--address"} <= used <= options


def test_every_process_asks_for_the_token() -> None:
    prepared = config()
    assert "--env=RAY_AUTH_MODE=token" in prepared["docker"]["run_options"]
    assert prepared["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_disks_are_encrypted_and_no_container_forwards_the_role() -> None:
    """Containers share the host's network (Ray's `--net=host`): the role's keys need no second hop."""
    for node_type in TYPES.values():
        config = node_type["node_config"]
        assert config["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert all(disk["Ebs"]["Encrypted"] for disk in config["BlockDeviceMappings"])


def test_mounted_files_of_the_repository_exist() -> None:
    mounted = [local for local in config()["file_mounts"].values() if not local.startswith("~")]
    assert mounted
    assert all((ROOT / local).is_file() for local in mounted)
