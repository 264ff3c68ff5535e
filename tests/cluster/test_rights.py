"""The IAM policies are enough for the programs and for the autoscaler, and for nothing else."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import soundfile

from tests.bags import write_gain_bag
from tests.cluster.conftest import CLUSTER

BUCKET = "music"  # as in the policy

# What a job's driver, tasks and actors do to storage, as the user of the policy.
ALLOWED = """
import sys
from pathlib import Path
import pyarrow as pa
from jobs.pipeline.catalogue import reading
from jobs.pipeline.output import tables
from separation import __main__ as laptop
from separation.store.objects import Store
from separation.store.retry import RetryPolicy

store = Store(RetryPolicy())

out = "s3://music/stems"
assert tables.read_table(out, "tracks", store).num_rows == 0
try:
    store.read_bytes(f"{out}/run.json")
except FileNotFoundError:
    pass  # not PermissionError: a first run has none yet
assert reading.read_catalogue("s3://music/catalogue/", out, store).tracks.num_rows == 1
assert reading.read_catalogue("s3://music/cat*/*.wav", out, store).tracks.num_rows == 1
track = "s3://music/catalogue/a.wav"
assert 0 == laptop.main([track, "--models", "s3://music/models/", "--out", f"{out}/stems"])
big = Path(sys.argv[1])
big.write_bytes(bytes(120 << 20))
store.put_file(big, f"{out}/parts/big")  # in several parts
store.remove([f"{out}/parts/big"])
assert list(store.list_uploads(out)) == []
store.put_bytes(b"-", "s3://music/logs/cluster/pod/1.json.gz")
print(sorted(file.uri for file in store.list_files(f"{out}/")))
"""
FORBIDDEN = """
from separation.errors import StorageError
from separation.store.objects import Store
from separation.store.retry import RetryPolicy

store = Store(RetryPolicy())

for what, attempt in {
    "write the catalogue": lambda: store.put_bytes(b"", "s3://music/catalogue/a.wav"),
    "remove from the catalogue": lambda: store.remove(["s3://music/catalogue/a.wav"]),
    "change a model": lambda: store.put_bytes(b"", "s3://music/models/bag.json"),
    "read beside it": lambda: store.read_bytes("s3://music/private/a.txt"),
    "read a log": lambda: store.read_bytes("s3://music/logs/a.json.gz"),
    "remove a log": lambda: store.remove(["s3://music/logs/a.json.gz"]),
}.items():
    try:
        attempt()
        print(what)
    except (StorageError, PermissionError):
        pass
print("end")
"""

# What Ray's autoscaler does to EC2, as the user of the head's policy.
AUTOSCALER = """
import sys
from ray.autoscaler import tags
from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

settings = {"type": "aws", "region": "us-east-1", "cache_stopped_nodes": False}
provider = AWSNodeProvider(settings, "stemfleet")
names = (tags.TAG_RAY_NODE_KIND, tags.TAG_RAY_NODE_NAME, tags.TAG_RAY_NODE_STATUS, tags.TAG_RAY_LAUNCH_CONFIG)
machine = {"InstanceType": "g6.xlarge", "ImageId": "ami-1", "SubnetIds": [sys.argv[1]]}
provider.create_node(machine, dict.fromkeys(names, "-"), 1)
(node,) = provider.non_terminated_nodes({})
provider.set_node_tags(node, {tags.TAG_RAY_NODE_STATUS: "up-to-date"})
provider.terminate_node(node)
assert provider.non_terminated_nodes({}) == []
"""


def policy(name: str) -> str:
    return (CLUSTER / name).read_text()


@pytest.fixture(scope="module")
def bucket(aws: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("music")
    soundfile.write(folder / "a.wav", [[0.1, 0.2]] * 44_100, 44_100)
    write_gain_bag(folder / "models")
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.upload_file(str(folder / "a.wav"), BUCKET, "catalogue/a.wav")
    for file in (folder / "models").iterdir():
        s3.upload_file(str(file), BUCKET, f"models/{file.name}")
    for key in ("private/a.txt", "logs/a.json.gz"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    return BUCKET


@contextmanager
def user(aws: str, file: str) -> Iterator[dict[str, str]]:
    """The environment of a user with the policy in `file`; meanwhile the server checks every request."""
    iam = boto3.client("iam")
    iam.create_user(UserName=file)
    iam.put_user_policy(UserName=file, PolicyName=file, PolicyDocument=policy(file))
    key = iam.create_access_key(UserName=file)["AccessKey"]
    _checks(aws, True)
    try:
        yield os.environ | {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
    finally:
        _checks(aws, False)


def _checks(aws: str, on: bool) -> None:
    """Whether moto's server evaluates policies."""
    data, headers = b"0" if on else b"inf", {"Content-Type": "text/plain"}
    request = urllib.request.Request(f"{aws}/moto-api/reset-auth", data, headers)
    with urllib.request.urlopen(request) as reply:
        reply.read()


def python(code: str, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


def test_a_node_may_do_what_the_programs_do_and_no_more(aws: str, bucket: str, tmp_path: Path) -> None:
    with user(aws, "iam-policy.json") as environment:
        done = python(ALLOWED, environment, str(tmp_path / "big"))
        assert done.returncode == 0, done.stdout + done.stderr
        stems = ("bass", "drums", "other", "vocals")
        assert done.stdout.splitlines()[-1] == str(
            [
                *(f"s3://music/stems/stems/a.wav/{s}.wav" for s in stems),
                "s3://music/stems/stems/stemfleet.json",
            ]
        )
        assert python(FORBIDDEN, environment).stdout.split("\n") == ["end", ""]


def test_the_head_may_start_see_and_end_nodes(aws: str) -> None:
    """As Ray's autoscaler does it. The server evaluates no conditions and no iam:PassRole."""
    subnet = boto3.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    with user(aws, "iam-head-policy.json") as environment:
        done = python(AUTOSCALER, environment, subnet)
    assert done.returncode == 0, done.stderr


def test_the_head_cannot_make_an_instance_its_own() -> None:
    """It may end what has its tag; so it may tag only what it starts, or what has the tag already."""
    tagged = {"ec2:ResourceTag/ray-cluster-name": "stemfleet"}
    conditions: dict[str, list[Any]] = {"ec2:CreateTags": [], "ec2:TerminateInstances": []}
    for statement in json.loads(policy("iam-head-policy.json"))["Statement"]:
        for action in _list(statement["Action"]):
            if action in conditions:
                conditions[action].append(statement["Condition"]["StringEquals"])
            assert "*" not in action
    assert conditions["ec2:CreateTags"] == [{"ec2:CreateAction": "RunInstances"}, tagged]
    assert conditions["ec2:TerminateInstances"] == [tagged]


def test_the_policy_names_no_wildcard_of_actions_or_buckets() -> None:
    for statement in json.loads(policy("iam-policy.json"))["Statement"]:
        assert "*" not in str(statement["Action"])
        assert all(arn.startswith(f"arn:aws:s3:::{BUCKET}") for arn in _list(statement["Resource"]))


def test_uploads_are_aborted_below_the_output_and_only_logs_expire(aws: str, bucket: str) -> None:
    s3 = boto3.client("s3")
    rules = json.loads(policy("lifecycle.json"))
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rules)
    uploads, logs = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert (uploads["Status"], uploads["Filter"]) == ("Enabled", {"Prefix": "stems/"})
    assert uploads["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] >= 1
    assert "Expiration" not in uploads  # no finished stem is ever removed
    assert (logs["Status"], logs["Filter"]) == ("Enabled", {"Prefix": "logs/"})
    assert logs["Expiration"]["Days"] == 90  # as docs/operations.md says


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
