"""The benchmark on a real Ray cluster, with specialists that cost next to nothing."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
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
from tests.bags import write_gain_bag, write_one_graph
from tests.integration.conftest import SMALL, TWO, Run
from tests.integration.session import Session
from tests.stores import STORE

pytestmark = pytest.mark.usefixtures("ray_cluster")


BASS_VOCALS = {"bass": 0.25, "vocals": 0.0625}  # stems and their gains: each graph is a process more
Benchmark = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def benchmark(session: Session, tmp_path: Path) -> Benchmark:
    """Runs `jobs.benchmark` to its end, which is a good one, with a cache of its own."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = session.run("jobs.benchmark", "--cache", str(tmp_path / "cache"), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


def test_a_benchmark_and_the_estimate_made_from_it(
    benchmark: Benchmark, separate: Run, tmp_path: Path
) -> None:
    models, output = str(write_gain_bag(tmp_path / "models", BASS_VOCALS)), tmp_path / "out"
    options = ["--tracks", "2", "--seconds", "3", "--codecs", "flac", "--repeats", "2", "--price", "0.5"]
    options += ["--stems", "vocals", "--compare", "all", "--project", "600x5"]
    done = benchmark("--models", models, "--output", str(output), *options)
    summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    figures = summary["figures"]
    assert (figures["repeats"], figures["tracks"], figures["failed"]) == (2, 2, 0)
    assert figures["audio_s"] == pytest.approx(6, abs=0.01)
    assert figures["usd_per_audio_hour"] == pytest.approx(0.5 / figures["x_realtime"]["median"])
    shares = [stage["share"] for stage in figures["stages"] if stage["account"] == "core"]
    assert sum(shares) == pytest.approx(1, abs=0.05)  # the kernel's ticks are cores x wall
    assert [opening["graph"] for opening in summary["openings"]] == ["vocals"]
    assert {name: graph["infer_s"] is not None for name, graph in summary["graphs"].items()} == {
        stem: stem == "vocals" for stem in BASS_VOCALS
    }
    compare = summary["compare"]
    assert compare["with"] == "all"
    assert compare["core_ratio"]["median"] > 0
    assert "50.0 hours of audio" in done.stdout

    table = pq.read_table(output / f"benchmarks/{summary['benchmark_id']}.parquet")
    assert table.schema.equals(SCHEMA)
    whole = [row for row in table.to_pylist() if row["setting"] == "--all"]
    assert {row["stage"] for row in whole if row["account"] == "core"} >= set(BASS_VOCALS)
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
    assert page.count("<audio") == 2 * (1 + len(BASS_VOCALS))  # its tracks can be heard
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
    other = str(write_one_graph(tmp_path / "one graph"))
    base = (*base[:4], "--models", other, "--dry-run")
    assert "measured other models" in separate(*base, "--benchmark", str(output)).stdout


def test_one_graph_of_two_rows_beside_two_graphs(benchmark: Benchmark, tmp_path: Path) -> None:
    models = str(write_one_graph(tmp_path / "one", BASS_VOCALS))
    other, output = str(write_gain_bag(tmp_path / "two", BASS_VOCALS)), tmp_path / "out"
    options = ["--tracks", "2", "--seconds", "3", "--codecs", "flac"]
    done = benchmark("--models", models, "--output", str(output), *options, "--compare-models", other)
    summary = parse(done.stdout.splitlines()[-1].encode())
    compare = summary.compare_models
    assert isinstance(compare, ModelsComparison)
    assert (summary.models_name, compare.name, compare.models) == ("rows", "gains", other)
    assert (summary.stems, compare.stems) == ([*BASS_VOCALS], [*BASS_VOCALS])
    assert ([opening.graph for opening in summary.openings], compare.graphs) == (["all"], [*BASS_VOCALS])
    assert "rows beside gains" in done.stdout

    stages = pq.read_table(output / f"benchmarks/{summary.benchmark_id}.parquet").to_pylist()

    def account_of(setting: str, account: str) -> dict[str, float]:
        """Of the run after the warm-up: core-seconds, or the seconds of a phase, by stage."""
        column = "core_s" if account == "core" else "task_s"
        rows = [row for row in stages if (row["setting"], row["account"]) == (setting, account)]
        assert {row["repeat"] for row in rows} == {0, 1}
        return {row["stage"]: row[column] for row in rows if row["repeat"] == 1}

    ours, theirs = account_of("", "core"), account_of("--compare-models", "core")
    assert "all" in ours and not {*BASS_VOCALS} & {*ours}
    assert {*BASS_VOCALS} <= {*theirs} and "all" not in theirs
    others = {"load", "watch", "outside", "idle", "stolen", "unseen"}
    mine, their = (sum(used[stage] for stage in used.keys() - others) for used in (ours, theirs))
    assert compare.core_ratio.median == pytest.approx(mine / their)
    work_s, their_work_s = (account_of(setting, "phase")["work"] for setting in ("", "--compare-models"))
    assert compare.ratio.median == pytest.approx(work_s / their_work_s)
    assert compare.x_realtime.median > 0

    # The benchmark's own stems are kept, and each run's record names its own models.
    kept = {path.relative_to(output / "runs").parts[1] for path in (output / "runs").rglob("*.wav")}
    assert kept == {"run-1"}
    assert summary.last_run == f"runs/{summary.benchmark_id}/run-1"
    runs = output / "runs" / summary.benchmark_id
    models_of = {
        path.parent.name: json.loads(path.read_text())["arguments"]["models"]
        for path in runs.glob("*/run.json")
    }
    own, beside = "run", "run-compare-models"
    assert models_of == {
        f"{name}-{number}": folder for name, folder in ((own, models), (beside, other)) for number in range(2)
    }


def test_demucs_beside_a_model_that_gives_several_stems(benchmark: Benchmark, tmp_path: Path) -> None:
    """Of its stems two are asked for; demucs gets the checkpoints that bag.json names."""
    models, output = tmp_path / "models", tmp_path / "out"
    export(from_origin(f"{SMALL} --segment 1 --models 1", trust=False), models, None, "fp32")
    options = ["--tracks", "2", "--seconds", "3-4", "--codecs", "flac", "--float32", "--clip-mode", "none"]
    options += [*TWO, "--compare", "demucs"]
    done = benchmark("--models", str(models), "--output", str(output), *options)
    summary = parse(done.stdout.splitlines()[-1].encode())
    assert isinstance(summary.compare, DemucsComparison)
    assert len(summary.openings) == 1
    assert summary.compare.snr_db.keys() == {"bass", "vocals"}
    assert all(db > 100 for db in summary.compare.snr_db.values())
    assert summary.compare.ratio.median > 0


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
