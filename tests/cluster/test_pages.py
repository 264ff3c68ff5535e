"""The commands of docs/aws.md, kubernetes.md and operations.md are those of the services and charts."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator
from ray._private.runtime_env.packaging import get_excludes_from_ignore_files

from tests.cluster.conftest import CLUSTER, ROOT
from tests.cluster.test_eks import EKS, NODE_CLASSES

INDEX = (CLUSTER / "README.md").read_text()
PAGES = {
    name: (ROOT / f"docs/{name}.md").read_text() for name in ("aws", "kubernetes", "operations", "local")
}
ALL = "".join(PAGES.values())
BLOCKS = re.findall(r"^```sh[^\n]*\n(.*?)^```$", ALL, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
BY_HAND = {  # commands of the command line's own making
    ("cloudformation", "deploy"),
    ("ecr", "get-login-password"),
    ("ec2", "authorize-security-group-ingress"),
}
OF_ALL = {"--query", "--output"}


def test_the_token_is_for_its_owner_alone(tmp_path: Path) -> None:
    commands = {line.partition("  #")[0].strip() for line in COMMANDS if "get-auth-token --generate" in line}
    (command,) = commands
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"HOME": str(tmp_path), "PATH": path}
    subprocess.run(["bash", "-c", f"umask 022; {command}"], env=environment, check=True, timeout=600)
    token = tmp_path / ".ray/auth_token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert token.parent.stat().st_mode & 0o777 == 0o700


def test_digests_take_the_place_of_the_tags(tmp_path: Path) -> None:
    """The page's sed over copies of the files leaves no image that a push could replace."""
    (line,) = [line.strip() for line in COMMANDS if line.strip().startswith('sed -i "s|/stemfleet:$extra')]
    shutil.copytree(CLUSTER, tmp_path / "cluster")
    for extra in ("cpu", "gpu"):
        script = f"extra={extra}; digest=sha256:{extra[0] * 64}; {line}"
        subprocess.run(["bash", "-c", script], cwd=tmp_path, check=True)
    files = [tmp_path / "cluster/launcher/aws.yaml", *(tmp_path / "cluster/kuberay").glob("*.yaml")]
    images = {name for file in files for name in re.findall(r"/stemfleet\S+", file.read_text())}
    assert images == {f"/stemfleet@sha256:{extra[0] * 64}" for extra in ("cpu", "gpu")}


@pytest.mark.parametrize(
    ("path", "is_sent"),
    [
        ("jobs/separate/run.py", True),
        ("jobs/report/page/page.css", True),
        ("band/bag/drums.onnx", True),
        ("models/drums.onnx", False),
        ("models-int8/bag.json", False),
        ("band/checkpoints/drums.safetensors", False),
        ("demo/out/run.json", False),
        (".venv/bin/python", False),
    ],
)
def test_a_clone_is_sent_without_what_is_large(path: str, is_sent: bool) -> None:
    """As `ray job submit --working-dir .` reads the files that tell it what to leave out."""
    excludes = get_excludes_from_ignore_files(ROOT, include_gitignore=True)
    assert is_sent != any(exclude(ROOT / path) for exclude in excludes)


def test_what_is_installed_has_the_versions_of_the_table() -> None:
    table = dict(re.findall(r"^\| ([A-Z][^|]+|eksctl) \| ([\d.]+)", PAGES["kubernetes"], re.MULTILINE))
    text = ALL.replace("\\\n", " ")
    charts = re.findall(
        r"(karpenter|kuberay-operator|nvidia-device-plugin)(?:-crd)? --version ([\d.]+)", text
    )
    names = {
        "karpenter": "Karpenter",
        "kuberay-operator": "KubeRay",
        "nvidia-device-plugin": "NVIDIA's device plugin",
    }
    assert set(charts) == {(chart, table[name]) for chart, name in names.items()}
    assert set(re.findall(r"karpenter-provider-aws/v([\d.]+)/", text)) == {table["Karpenter"]}
    assert set(re.findall(r"config/crd\?ref=v([\d.]+)", text)) == {table["KubeRay"]}
    assert EKS["metadata"]["version"] == table["Kubernetes"]
    (image,) = re.findall(r"Amazon Linux 2023, release (\d+)", PAGES["kubernetes"])
    assert NODE_CLASSES["spec"]["amiSelectorTerms"] == [{"alias": f"al2023@v{image}"}]


@pytest.mark.parametrize("page", ["aws", "kubernetes", "operations"])
def test_commands_of_aws_are_those_of_its_services(page: str) -> None:
    """Every operation and option by the models that its command line is made of, and JSON by their types."""
    blocks = re.findall(r"^```sh[^\n]*\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)
    calls = re.findall(r"\baws ((?:'[^']*'|[^'\n#|;)&])+)", "".join(blocks).replace("\\\n", " "))
    assert len(calls) >= 4
    session = botocore.session.get_session()
    for service, operation, *words in map(shlex.split, calls):
        if (service, operation) in BY_HAND or service == "s3":
            continue
        model = session.get_service_model(service.removesuffix("api"))  # s3api
        names = {xform_name(name, "-"): name for name in model.operation_names}
        members = model.operation_model(names[operation]).input_shape.members
        options = {xform_name(name, "-"): shape for name, shape in members.items()}
        given = dict(zip(words, [*words[1:], ""], strict=True))
        for option, value in given.items():
            if option.startswith("--") and option not in OF_ALL:
                shape = options[option.removeprefix("--")]
                if shape.type_name != "string" and value.startswith(("{", "[")):
                    report = ParamValidator().validate(json.loads(value), shape)
                    assert not report.has_errors(), report.generate_report()


def test_every_file_it_names_exists() -> None:
    named = set(re.findall(r"cluster/[\w./-]+\.(?:json|yaml|py)|cluster/image/Dockerfile", ALL))
    assert len(named) >= 5
    assert all((ROOT / name).is_file() for name in named)
    rows = re.findall(r"^\| (`.+?`) \|", INDEX, re.MULTILINE)
    listed = {name for cell in rows for name in re.findall(r"`([^`]+)`", cell)}
    files = {
        str(path.relative_to(CLUSTER))
        for path in CLUSTER.rglob("*")
        if path.suffix in (".json", ".yaml", ".py")
    }
    assert listed == files | {"image/Dockerfile"}
