"""The metrics of a real job, read where Prometheus reads them, against its tables and the dashboard."""

import json
import re
import subprocess
import sys
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import promql_parser
import pyarrow.compute as pc
import pytest
import soundfile
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from ray.dashboard.modules.metrics.dashboards.data_dashboard_panels import data_dashboard_config
from ray.dashboard.modules.metrics.dashboards.default_dashboard_panels import default_dashboard_config

from jobs.pipeline.metrics import INFERENCE, LEFT, STAGES, TRACKS
from jobs.pipeline.output.tables import read_table
from separation.contract import HTDEMUCS
from tests.bags import write_gain_bag
from tests.integration.conftest import HANG_S, job_command, wait_until
from tests.stores import STORE

GAINS = {"bass": 0.25, "vocals": 0.0625}
POLL_S = 1.0  # Ray is ten seconds behind
NODES = (
    "import ray; ray.init(logging_level='error'); "
    "print(*[f\"http://{n['NodeManagerAddress']}:{n['MetricsExportPort']}/metrics\" for n in ray.nodes()])"
)
DASHBOARD = json.loads(Path("cluster/grafana/stemfleet.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


class Scraped:
    """What the cluster's nodes have shown since a run began: samples by name, with the run's own sums."""

    def __init__(self, urls: list[str], run_id: str):
        self._urls, self._run_id = urls, run_id
        self.samples: dict[str, list[Sample]] = defaultdict(list)

    def read(self) -> None:
        for url in self._urls:
            with urllib.request.urlopen(url, timeout=30) as reply:
                families = text_string_to_metric_families(reply.read().decode())
                now = {sample for family in families for sample in map(frozen, family.samples)}
            for name in {sample.name for sample in now}:
                self.samples[name] = [sample for sample in now if sample.name == name]

    def sums(self, name: str, *by: str) -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = defaultdict(float)
        for sample in self.samples[f"ray_{name}"]:
            labels = dict(sample.labels)
            if labels["run_id"] == self._run_id:
                found[tuple(labels[label] for label in by)] += sample.value
        return dict(found)


def frozen(sample: Sample) -> Sample:
    return sample._replace(labels=tuple(sorted(sample.labels.items())), exemplar=None)


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("metrics")


@pytest.fixture(scope="module")
def scraped(ray_cluster: dict[str, str], output: Path) -> Scraped:
    """After a job over two short tracks, one of several sections and a broken one."""
    catalogue = output / "in"
    catalogue.mkdir()
    for seconds in (3, 9, 40):
        noise = np.random.default_rng(seconds).uniform(-0.1, 0.1, (seconds * HTDEMUCS.sample_rate, 2))
        soundfile.write(catalogue / f"{seconds}.wav", noise, HTDEMUCS.sample_rate)
    (catalogue / "text.mp3").write_text("not audio\n" * 50)
    models = write_gain_bag(output / "models", GAINS)
    options = ("--models", str(models), "--chunks-per-section", "2", "--batch", "2")
    job = job_command(output, "--input", str(catalogue), "--output", str(output / "out"), *options)
    done = subprocess.run(job, env=ray_cluster, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 1, done.stdout + done.stderr
    command = [sys.executable, "-c", NODES]
    urls = subprocess.run(command, env=ray_cluster, capture_output=True, text=True, check=True).stdout.split()
    scraped = Scraped(urls, read_table(str(output / "out"), "tracks", STORE)["run_id"][0].as_py())

    expected = totals(output)
    found: dict[str, float] = {}

    def all_counted() -> bool:
        scraped.read()
        found.update({name: scraped.sums(name).get((), 0) for name in expected})
        return all(found[name] >= total * (1 - 1e-9) for name, total in expected.items())

    wait_until(all_counted, lambda: f"the counts stay at {found}, below {expected}", poll_s=POLL_S)
    return scraped


def totals(output: Path) -> dict[str, float]:
    """What the counters come to at last, by the tables: a process may be seen between two of its counts."""
    timings, tracks = (read_table(str(output / "out"), name, STORE) for name in ("timings", "tracks"))
    good = tracks.filter(pc.equal(tracks["status"], "ok"))
    sums = {
        "chunks": timings["chunks"],
        "inference_seconds": timings["infer_s"],
        "queue_seconds": timings["queue_s"],
        "finished_audio_seconds": good["duration_s"],
        "source_bytes": tracks["source_bytes"],
        "stem_bytes": timings["bytes"],
    }
    found = {f"stemfleet_{name}_total": float(pc.sum(column).as_py() or 0) for name, column in sums.items()}
    found["stemfleet_audio_seconds_total"] = len(GAINS) * found["stemfleet_finished_audio_seconds_total"]
    found["stemfleet_stage_seconds_total"] = sum(pc.sum(tracks[f"{stage}_s"]).as_py() for stage in STAGES)
    return {"stemfleet_tracks_total": tracks.num_rows, **found}


def test_the_actors_count_what_the_tables_say(scraped: Scraped, output: Path) -> None:
    timings, tracks = (read_table(str(output / "out"), name, STORE) for name in ("timings", "tracks"))
    (device,) = set(timings["device"].to_pylist())
    audio_s = pc.sum(tracks["duration_s"].filter(pc.equal(tracks["status"], "ok"))).as_py()
    for graph in GAINS:  # each has a graph of its own, of its name
        rows = timings.filter(pc.field("graph") == graph)
        found = {name: scraped.sums(name, "graph", "device").get((graph, device), 0) for name in INFERENCE}
        assert found == pytest.approx(
            {
                "stemfleet_chunks_total": pc.sum(rows["chunks"]).as_py(),
                "stemfleet_audio_seconds_total": audio_s,
                "stemfleet_inference_seconds_total": pc.sum(rows["infer_s"]).as_py(),
                "stemfleet_queue_seconds_total": pc.sum(rows["queue_s"]).as_py(),
                "stemfleet_inference_errors_total": 0,
            }
        )
        assert found["stemfleet_inference_seconds_total"] > 0


def test_the_driver_counts_what_the_tables_say(scraped: Scraped, output: Path) -> None:
    timings, tracks = (read_table(str(output / "out"), name, STORE) for name in ("timings", "tracks"))
    done = {("ok", ""): 3.0, ("error", "not_audio"): 1.0}
    assert scraped.sums("stemfleet_tracks_total", "status", "error_kind") == done
    stages = {(stage,): pc.sum(tracks[f"{stage}_s"]).as_py() for stage in STAGES}
    assert scraped.sums("stemfleet_stage_seconds_total", "stage") == pytest.approx(stages)
    for name, expected in {
        "stemfleet_finished_audio_seconds_total": 52.0,
        "stemfleet_source_bytes_total": pc.sum(tracks["source_bytes"]).as_py(),
        "stemfleet_stem_bytes_total": pc.sum(timings["bytes"]).as_py(),
    }.items():
        assert scraped.sums(name) == {(): pytest.approx(expected)}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_every_panel_asks_for_what_there_is(panel: dict[str, Any], scraped: Scraped) -> None:
    """Names and labels are in the scrape, or in the dashboards that Ray itself brings (a GPU's, say)."""
    ours = {f"ray_{name}" for name in (*INFERENCE, *TRACKS, LEFT)}
    theirs = ray_names()
    for target in panel["targets"]:
        expression = parse(target["expr"])
        names = {name for name, _ in selected(expression)}
        assert names
        assert names <= {*scraped.samples, *ours, *theirs}
        for name, labels in selected(expression):
            for sample in scraped.samples.get(name, []):
                assert labels <= {"ray_io_cluster", *dict(sample.labels)}, name
        shown = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
        for name in names & ours:
            for sample in scraped.samples.get(name, []):
                assert shown <= {*dict(sample.labels)}, target["legendFormat"]


def test_every_metric_of_ours_is_drawn() -> None:
    drawn = {name for panel in PANELS for t in panel["targets"] for name, _ in selected(parse(t["expr"]))}
    assert {f"ray_{name}" for name in (*INFERENCE, *TRACKS, LEFT)} <= drawn


def test_the_dashboard_is_whole() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)  # none covers another
    assert max(x for x, _ in cells) < 24
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "cluster", "run"}
    for panel in PANELS:
        assert panel["description"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def parse(expression: str) -> promql_parser.Expr:
    return promql_parser.parse(expression.replace("$__rate_interval", "1m"))


def selected(expression: promql_parser.Expr) -> list[tuple[str, set[str]]]:
    """Each metric of an expression with the labels that it is chosen by."""
    found: list[tuple[str, set[str]]] = []

    def visit(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name, {matcher.name for matcher in node.matchers.matchers}))
        return True

    promql_parser.walk(expression, visit)
    return found


def ray_names() -> set[str]:
    """What the dashboards in Ray's own package ask for."""
    rows = [row for config in (data_dashboard_config, default_dashboard_config) for row in config.rows or []]
    targets = [target.expr for row in rows for panel in row.panels for target in panel.targets]
    return set(re.findall(r"\bray_\w+", " ".join(targets)))
