"""The benchmark on a real Ray cluster, with specialists that cost next to nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from markupsafe import escape

from jobs.benchmark.accounting import SCHEMA
from jobs.pipeline.cost.summary import parse
from jobs.pipeline.cost.summary_tables import summary_tables
from jobs.pipeline.output.tables import ROWS_PER_FILE
from jobs.report import markdown
from jobs.report import run as report
from separation.contract import STEMS
from tests.bags import write_gain_bag
from tests.integration.conftest import HANG_S, Run
from tests.stores import STORE

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_a_benchmark_and_the_estimate_made_from_it(
    ray_cluster: dict[str, str], separate: Run, tmp_path: Path
) -> None:
    models, output = str(write_gain_bag(tmp_path / "models")), tmp_path / "out"
    command = [sys.executable, "-m", "jobs.benchmark", "--models", models, "--output", str(output)]
    options = ["--tracks", "2", "--seconds", "3", "--codecs", "flac", "--repeats", "2", "--price", "0.5"]
    options += ["--stems", "vocals", "--compare", "all"]
    done = subprocess.run(
        [*command, *options, "--cache", str(tmp_path / "cache"), "--project", "600x5"],
        env=ray_cluster,
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    figures = summary["figures"]
    assert (figures["repeats"], figures["tracks"], figures["failed"]) == (2, 2, 0)
    assert figures["audio_s"] == pytest.approx(6, abs=0.01)
    assert figures["usd_per_audio_hour"] == pytest.approx(0.5 / figures["x_realtime"]["median"])
    shares = [stage["share"] for stage in figures["stages"] if stage["account"] == "core"]
    assert sum(shares) == pytest.approx(1, abs=0.05)  # the kernel's ticks are cores x wall
    assert [opening["stem"] for opening in summary["openings"]] == ["vocals"]
    compare = summary["compare"]
    assert compare["with"] == "all"
    assert 0 < compare["core_ratio"]["median"] < 1
    assert "50.0 hours of audio" in done.stdout

    table = pq.read_table(output / f"benchmarks/{summary['benchmark_id']}.parquet")
    assert table.schema.equals(SCHEMA)
    whole = [row for row in table.to_pylist() if row["setting"] == "--all"]
    assert {row["stage"] for row in whole if row["account"] == "core"} >= set(STEMS)
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
    assert page.count("<audio") == 2 * (1 + len(STEMS))  # its tracks can be heard
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "out"], "a benchmark needs --models"),
        (["--project", "1000x4"], "--project needs --x-realtime"),
        (["--project", "1000x4", "--x-realtime", "40"], "needs --price"),
    ],
)
def test_what_cannot_be_told_is_refused(arguments: list[str], words: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "jobs.benchmark", *arguments]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 2
    assert words in refused.stderr


def test_the_driver_keeps_up_with_finished_tracks() -> None:
    command = [sys.executable, "scripts/simulate.py", "driver", "--tracks", "12000", "--rate", "6000"]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "0 missing at the end" in done.stdout
    (files,) = re.findall(r"^tracks: (\d+) files", done.stdout, re.MULTILINE)
    assert 1 <= int(files) <= 12_000 // ROWS_PER_FILE + 1  # only the last may be smaller
    assert "tracks done 12000 of 12000" in done.stdout
