"""The alert rules ask for metrics and labels that are exported, and each has an entry in the runbook."""

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import promql_parser
import pytest
import ray
import yaml
from promql_parser import AggregateExpr, VectorSelector
from ray.core.generated import gcs_pb2
from ray.data._internal.execution.operators import actor_pool_map_operator

from jobs.pipeline.metrics import INFERENCE, LEFT, STAGES, TRACKS
from tests.cluster.conftest import CLUSTER, ROOT
from tests.cluster.custom_resources import PROMETHEUS_RULE, RULES

FILE = CLUSTER / "prometheus/alerts.yaml"
CONTENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
ALERTS = {rule["alert"]: rule for group in CONTENT["groups"] for rule in group["rules"]}
OPERATIONS = (ROOT / "docs/operations.md").read_text()
RUNBOOK = OPERATIONS.partition("\n## Alerts\n")[2].partition("\n## ")[0]
PROMTOOL = shutil.which("promtool")

LABELS = {  # by name
    **{f"ray_{name}": {"run_id", "graph", "device"} for name in INFERENCE},
    **{f"ray_{name}": {"run_id", *keys} for name, (_, keys) in TRACKS.items()},
    f"ray_{LEFT}": {"run_id"},
    "ray_actors": {"Source", "State", "Name"},
    "ray_running_jobs": set(),
    "ray_node_failure_total": set(),
}
VALUES = {
    "status": {"ok", "error"},
    "stage": set(STAGES),
    "Source": {"gcs"},
    "State": set(gcs_pb2.ActorTableData.ActorState.keys()),
    "Name": {"MapWorker.*"},
}
CLUSTERS = {"ray_io_cluster"}  # from podmonitor.yaml
Part = TypeVar("Part", VectorSelector, AggregateExpr)


def parsed(alert: str) -> promql_parser.Expr:
    return promql_parser.parse(ALERTS[alert]["expr"])


def parts(expression: promql_parser.Expr, kind: type[Part]) -> list[Part]:
    """The parts of that kind, wherever they stand in the expression."""
    found: list[Part] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, kind):
            found.append(node)
        return True

    promql_parser.walk(expression, visit)
    return found


def test_prometheus_takes_the_file() -> None:
    jsonschema.validate(CONTENT, RULES)
    assert len(ALERTS) == sum(len(group["rules"]) for group in CONTENT["groups"])  # none has another's name


@pytest.mark.parametrize("alert", ALERTS)
def test_every_metric_of_a_rule_is_exported_with_its_labels(alert: str) -> None:
    assert parts(parsed(alert), VectorSelector)
    for selector in parts(parsed(alert), VectorSelector):
        for matcher in selector.matchers.matchers:
            assert matcher.name in LABELS[selector.name]
            assert set(matcher.value.split("|")) <= VALUES[matcher.name]
    for aggregation in parts(parsed(alert), AggregateExpr):
        kept = set(aggregation.modifier.labels) - CLUSTERS
        for selector in parts(aggregation.expr, VectorSelector):
            assert kept <= LABELS[selector.name]


def test_ray_has_what_the_rules_take_from_it() -> None:
    """Its server of a cluster is a binary, in which the names stand; docs/decisions.md has what it shows."""
    server = (Path(ray.__file__).parent / "core/src/ray/gcs/gcs_server").read_bytes()
    for name in (name for name in LABELS if "stemfleet" not in name):
        assert f"\0{name.removeprefix('ray_')}\0".encode() in server
    source = inspect.getsource(actor_pool_map_operator)
    assert 'return f"MapWorker({' in source


@pytest.mark.parametrize("alert", ALERTS)
def test_its_text_shows_labels_that_it_keeps(alert: str) -> None:
    rule = ALERTS[alert]
    shown = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    kept = {label for each in parts(parsed(alert), AggregateExpr) for label in each.modifier.labels}
    assert shown <= kept
    assert rule["labels"]["severity"] in ("critical", "warning")


def test_every_alert_has_its_entry_and_every_entry_its_alert() -> None:
    entries = re.findall(r"^### (\w+)\n\n(.+)", RUNBOOK, re.MULTILINE)
    assert [name for name, _ in entries] == [*ALERTS]
    for name, rule in ALERTS.items():
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{name.lower()}"


def test_the_operators_resource_is_made_of_it() -> None:
    """The runbook's command for Kubernetes, with `cat` in place of kubectl."""
    (command,) = re.findall(r"^```sh\n(\{.+?)^```$", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert command.count("kubectl apply -f -") == 1
    script = command.replace("kubectl apply -f -", "cat")
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    made = subprocess.run(
        ["bash", "-ec", script], cwd=ROOT, env=path, capture_output=True, text=True, check=True
    )
    resource = yaml.safe_load(made.stdout)
    jsonschema.validate(resource, PROMETHEUS_RULE)
    assert resource["spec"] == CONTENT
    monitor = yaml.safe_load((CLUSTER / "kuberay/podmonitor.yaml").read_text())
    assert resource["metadata"]["labels"] == monitor["metadata"]["labels"]  # one Prometheus finds both


def test_each_alert_has_a_case() -> None:
    cases = yaml.safe_load((ROOT / "tests/cluster/alerts_test.yaml").read_text())["tests"]
    tried = [test for case in cases for test in case["alert_rule_test"]]
    assert {test["alertname"] for test in tried if test["exp_alerts"]} == set(ALERTS)


@pytest.mark.skipif(
    PROMTOOL is None, reason="no promtool on the PATH: alerts are parsed, but not tried on series"
)
def test_each_alert_fires_on_its_case_and_on_no_other(tmp_path: Path) -> None:
    cases = (ROOT / "tests/cluster/alerts_test.yaml").read_text()
    (tmp_path / "cases.yaml").write_text(cases.replace("[ALERTS]", json.dumps([str(FILE)])))
    assert PROMTOOL is not None
    for words in (["check", "rules", str(FILE)], ["test", "rules", str(tmp_path / "cases.yaml")]):
        done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
