"""The benchmark on a real Ray cluster, with specialists that cost next to nothing."""

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from markupsafe import escape

from export.htdemucs.export_bag import export
from export.htdemucs.origin import from_origin
from jobs.benchmark.accounting import SCHEMA
from jobs.pipeline.cost.summary import DemucsComparison, ModelsComparison, parse
from jobs.pipeline.cost.summary_tables import summary_tables
from jobs.pipeline.output.tables import ROWS_PER_FILE
from jobs.report import markdown
from jobs.report import run as report
from separation.models.bag import WeightedRow
from tests.bags import FOUR_STEMS, GAINS, write_gain_bag, write_rows_bag
from tests.integration.conftest import HANG_S, SMALL, TWO, Run
from tests.stores import STORE

pytestmark = pytest.mark.usefixtures("ray_cluster")


def run(command: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """The command to its end, which is a good one."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_benchmark_and_the_estimate_made_from_it(
    ray_cluster: dict[str, str], separate: Run, tmp_path: Path
) -> None:
    models, output = str(write_gain_bag(tmp_path / "models")), tmp_path / "out"
    command = [sys.executable, "-m", "jobs.benchmark", "--models", models, "--output", str(output)]
    options = ["--tracks", "2", "--seconds", "3", "--codecs", "flac", "--repeats", "2", "--price", "0.5"]
    options += ["--stems", "vocals", "--compare", "all"]
    done = run([*command, *options, "--cache", str(tmp_path / "cache"), "--project", "600x5"], ray_cluster)
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    figures = summary["figures"]
    assert (figures["repeats"], figures["tracks"], figures["failed"]) == (2, 2, 0)
    assert figures["audio_s"] == pytest.approx(6, abs=0.01)
    assert figures["usd_per_audio_hour"] == pytest.approx(0.5 / figures["x_realtime"]["median"])
    shares = [stage["share"] for stage in figures["stages"] if stage["account"] == "core"]
    assert sum(shares) == pytest.approx(1, abs=0.05)  # the kernel's ticks are cores x wall
    assert [opening["graph"] for opening in summary["openings"]] == ["vocals"]
    assert {name: graph["infer_s"] is not None for name, graph in summary["graphs"].items()} == {
        stem: stem == "vocals" for stem in FOUR_STEMS
    }
    compare = summary["compare"]
    assert compare["with"] == "all"
    assert 0 < compare["core_ratio"]["median"] < 1
    assert "50.0 hours of audio" in done.stdout

    table = pq.read_table(output / f"benchmarks/{summary['benchmark_id']}.parquet")
    assert table.schema.equals(SCHEMA)
    whole = [row for row in table.to_pylist() if row["setting"] == "--all"]
    assert {row["stage"] for row in whole if row["account"] == "core"} >= set(FOUR_STEMS)
    assert {row["repeat"] for row in whole} == {1, 2}
    rows = [row for row in table.to_pylist() if row["setting"] == ""]
    assert {row["repeat"] for row in rows} == {0, 1, 2}
    assert len({(row["repeat"], row["account"], row["stage"]) for row in rows}) == len(rows)
    used = {row["stage"]: row["core_s"] for row in rows if row["account"] == "core" and row["repeat"] == 1}
    assert all(used[doing] > 0 for doing in ("load", "driver", "ray", "watch"))
    whole = sum(row["task_s"] for row in rows if row["account"] == "phase" and row["repeat"] == 1)
    assert figures["wall_s"]["min"] - 0.01 <= whole <= figures["wall_s"]["max"] + 0.01
    kept = {path.relative_to(output / "runs").parts[1] for path in (output / "runs").rglob("*.wav")}
    assert kept == {"run-all-2"}  # of the last run
    assert summary["last_run"] == f"runs/{summary['benchmark_id']}/run-all-2"
    page, text = (report.report(str(output), form, STORE) for form in ("html", "md"))
    assert page.count("<audio") == 2 * (1 + len(FOUR_STEMS))  # its tracks can be heard
    for figures_table in summary_tables(parse(done.stdout.splitlines()[-1].encode())):
        assert f"<h3>{escape(figures_table.title)}</h3>" in page
        assert f"### {markdown.text(figures_table.title)}" in text
    assert "vocals as a part of all stems" in text

    (tracks,) = (output / "catalogue").iterdir()
    base = ("--input", str(tracks), "--output", str(tmp_path / "o"), "--models", models, "--dry-run")
    without = separate(*base)
    assert "estimate: none" in without.stdout
    estimated = separate(*base, "--benchmark", str(output), "--stems", "vocals")
    assert estimated.returncode == 0, estimated.stdout + estimated.stderr
    assert "estimate: 2 tracks of 0.1 minutes (assumed: as in the benchmark)" in estimated.stdout
    assert "as measured:" in estimated.stdout
    assert "stems: vocals; measured with vocals" in estimated.stdout
    other = str(write_four_rows(tmp_path / "four rows"))
    base = (*base[:4], "--models", other, "--dry-run")
    assert "measured other models" in separate(*base, "--benchmark", str(output)).stdout


def test_one_graph_of_four_rows_beside_four_graphs(ray_cluster: dict[str, str], tmp_path: Path) -> None:
    models, other = str(write_four_rows(tmp_path / "one")), str(write_gain_bag(tmp_path / "four"))
    output = tmp_path / "out"
    command = [sys.executable, "-m", "jobs.benchmark", "--models", models, "--output", str(output)]
    options = ["--tracks", "2", "--seconds", "3", "--codecs", "flac", "--repeats", "2"]
    done = run(
        [*command, *options, "--compare-models", other, "--cache", str(tmp_path / "cache")], ray_cluster
    )
    summary = parse(done.stdout.splitlines()[-1].encode())
    compare = summary.compare_models
    assert isinstance(compare, ModelsComparison)
    assert (summary.models_name, compare.name, compare.models) == ("rows", "gains", other)
    assert (summary.stems, compare.stems) == ([*FOUR_STEMS], [*FOUR_STEMS])
    assert ([opening.graph for opening in summary.openings], compare.graphs) == (["all"], [*FOUR_STEMS])
    assert "rows beside gains" in done.stdout

    stages = pq.read_table(output / f"benchmarks/{summary.benchmark_id}.parquet").to_pylist()

    def accounts_of(setting: str, account: str) -> list[dict[str, float]]:
        """Of each repeat after the warm-up: core-seconds, or the seconds of a phase, by stage."""
        column = "core_s" if account == "core" else "task_s"
        rows = [row for row in stages if (row["setting"], row["account"]) == (setting, account)]
        assert {row["repeat"] for row in rows} == {0, 1, 2}
        return [{row["stage"]: row[column] for row in rows if row["repeat"] == number} for number in (1, 2)]

    ours, theirs = accounts_of("", "core"), accounts_of("--compare-models", "core")
    assert "all" in ours[0] and not {*FOUR_STEMS} & {*ours[0]}
    assert {*FOUR_STEMS} <= {*theirs[0]} and "all" not in theirs[0]
    others = {"load", "watch", "outside", "idle", "stolen", "unseen"}
    ratios = [
        sum(spent for stage, spent in mine.items() if stage not in others)
        / sum(spent for stage, spent in their.items() if stage not in others)
        for mine, their in zip(ours, theirs, strict=True)
    ]
    assert compare.core_ratio.median == pytest.approx(statistics.median(ratios))
    work_s = [
        mine["work"] / their["work"]
        for mine, their in zip(
            accounts_of("", "phase"), accounts_of("--compare-models", "phase"), strict=True
        )
    ]
    assert compare.ratio.median == pytest.approx(statistics.median(work_s))
    assert compare.x_realtime.median > 0

    # The benchmark's own stems are kept, and each run's record names its own models.
    kept = {path.relative_to(output / "runs").parts[1] for path in (output / "runs").rglob("*.wav")}
    assert kept == {"run-2"}
    assert summary.last_run == f"runs/{summary.benchmark_id}/run-2"
    runs = output / "runs" / summary.benchmark_id
    models_of = {
        path.parent.name: json.loads(path.read_text())["arguments"]["models"]
        for path in runs.glob("*/run.json")
    }
    own, beside = "run", "run-compare-models"
    assert models_of == {
        f"{name}-{number}": folder for name, folder in ((own, models), (beside, other)) for number in range(3)
    }


def test_demucs_beside_a_model_that_gives_several_stems(ray_cluster: dict[str, str], tmp_path: Path) -> None:
    """Of its stems two are asked for; demucs gets the checkpoints that bag.json names."""
    models, output = tmp_path / "models", tmp_path / "out"
    export(from_origin(f"{SMALL} --segment 1 --models 1", trust=False), models, None, "fp32")
    command = [sys.executable, "-m", "jobs.benchmark", "--models", str(models), "--output", str(output)]
    options = ["--tracks", "2", "--seconds", "3-4", "--codecs", "flac", "--float32", "--clip-mode", "none"]
    done = run(
        [*command, *options, *TWO, "--compare", "demucs", "--cache", str(tmp_path / "cache")], ray_cluster
    )
    summary = parse(done.stdout.splitlines()[-1].encode())
    assert isinstance(summary.compare, DemucsComparison)
    assert len(summary.openings) == 1
    assert summary.compare.snr_db.keys() == {"bass", "vocals"}
    assert all(db > 100 for db in summary.compare.snr_db.values())
    assert summary.compare.ratio.median > 0


def write_four_rows(folder: Path) -> Path:
    recipes = {stem: (WeightedRow("all", stem),) for stem in FOUR_STEMS}
    return write_rows_bag(folder, {"all": GAINS}, recipes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "out"], "a benchmark needs --models"),
        (["--project", "1000x4"], "--project needs --x-realtime"),
        (["--project", "1000x4", "--x-realtime", "40"], "needs --price"),
        (["--models", "models", "--output", "o", "--compare-models", "absent"], "absent/bag.json: not found"),
        (
            ["--models", "models", "--output", "o", "--compare-models", "bass", "--stems", "vocals"],
            "--compare-models bass: the models have the stems bass; not vocals",
        ),
    ],
)
def test_what_cannot_be_told_is_refused(arguments: list[str], words: str, tmp_path: Path) -> None:
    write_gain_bag(tmp_path / "models")
    write_gain_bag(tmp_path / "bass", {"bass": 0.5})
    command = [sys.executable, "-m", "jobs.benchmark", *arguments, "--cache", str(tmp_path / "cache")]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    refused = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert refused.returncode == 2
    assert words in refused.stderr


def test_the_driver_keeps_up_with_finished_tracks() -> None:
    command = [sys.executable, "scripts/simulate.py", "driver", "--tracks", "12000", "--rate", "6000"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "0 missing at the end" in done.stdout
    (files,) = re.findall(r"^tracks: (\d+) files", done.stdout, re.MULTILINE)
    assert 1 <= int(files) <= 12_000 // ROWS_PER_FILE + 1  # only the last may be smaller
    assert "tracks done 12000 of 12000" in done.stdout
