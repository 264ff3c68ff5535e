"""How a run ended, or that it has not: run.json and the record of each run say which."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.job import Job
from jobs.pipeline.output import run_record
from jobs.pipeline.output.lease import EXPIRES_S, Lease, Lock, OutputLost
from jobs.pipeline.output.run_state import RunLog, state_of
from jobs.pipeline.progress import Counts
from jobs.pipeline.sizing import JobPlan, Node
from separation.errors import StorageError, UsageError
from separation.models.bag_json import read_bag
from separation.options import Options
from separation.program import ExitCode
from tests.bags import write_gain_bag
from tests.stores import STORE

RUN = """
import importlib.util, sys, time
from pathlib import Path
from separation import program
from jobs.pipeline.output.lease import Lease
from tests.stores import STORE

spec = importlib.util.spec_from_file_location("these_tests", sys.argv[2])
tests = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tests)

def work(args, quiet):
    job = tests.job_at(Path(sys.argv[1]))
    with Lease(job.output, job.run_id, STORE), tests.log_of(job):
        print("works", flush=True)
        time.sleep(600)

sys.exit(program.run(lambda prog: program.Parser(prog=prog), work, [], "run"))
"""
NODES = [Node(2.0, 0.0, 1e9)]


def job_at(folder: Path, run_id: str = "r1") -> Job:
    plan = JobPlan("cpu", 1, 2, 0.5, 0.0, 2, 1, 1, 16, 40, 2**22)
    models = folder / "models"
    bag = read_bag(str(models if models.exists() else write_gain_bag(models)), STORE)
    return Job(run_id, str(folder / "out"), bag, Options(), plan, str(folder / "cache"), 0, 0.0, STORE)


def log_of(job: Job, **arguments: Any) -> RunLog:
    return RunLog(job, arguments, 5, lambda: NODES)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return job_at(tmp_path)


def record_of(job: Job, name: str = "run.json") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(job.output, name).read_text())
    return found


def state(job: Job) -> str | None:
    record = run_record.read(job.output, STORE)
    assert record
    return state_of(record, job.output, STORE)


def test_a_run_is_running_until_it_is_done(job: Job) -> None:
    with Lease(job.output, job.run_id, STORE):
        with log_of(job) as log:
            assert state(job) == "running"
            begun = record_of(job)
            assert begun["began"] and begun["ended"] is begun["exit_code"] is begun["totals"] is None
            log.counts = Counts(5, done=3, failed=2, audio_s=9.0)
            log.exit_code = ExitCode.SOME_ERRORS
        ended = record_of(job)
    assert state(job) == "done"
    assert (ended["state"], ended["exit_code"], ended["reason"]) == ("done", 1, None)
    assert begun["began"] == ended["began"] <= ended["ended"]
    assert ended["totals"] == {"total": 5, "done": 3, "failed": 2, "pending": 0, "left": 0, "audio_s": 9.0}


def test_every_run_keeps_its_record(job: Job) -> None:
    for run_id in ("r1", "r2"):
        with log_of(replace(job, run_id=run_id)):
            pass
    names = sorted(path.name for path in Path(job.output, "runs").iterdir())
    assert names == ["r1.json", "r2.json"]
    assert record_of(job) == record_of(job, "runs/r2.json")
    assert record_of(job, "runs/r1.json")["run_id"] == "r1"


def test_an_interrupted_run_says_what_it_has_done(job: Job) -> None:
    with pytest.raises(KeyboardInterrupt), log_of(job) as log:
        log.counts = Counts(5, done=2, audio_s=4.0)
        raise KeyboardInterrupt
    record = record_of(job)
    assert (record["state"], record["exit_code"], record["totals"]["left"]) == ("interrupted", 130, 3)
    assert state(job) == "interrupted"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UsageError("no such\n  model"), "no such\\n model"),
        (StorageError("s3://me:hush@b/x", "gone"), "s3://b/x: gone"),
        (ZeroDivisionError(), "ZeroDivisionError"),
    ],
)
def test_a_run_that_stopped_says_why(job: Job, error: Exception, reason: str) -> None:
    with pytest.raises(type(error)), log_of(job):
        raise error
    record = record_of(job)
    assert (record["state"], record["exit_code"], record["reason"]) == ("stopped", 2, reason)


def test_a_run_that_lost_the_output_leaves_the_record_of_the_other(job: Job) -> None:
    other = replace(job, run_id="r2")
    with pytest.raises(OutputLost), log_of(job):
        with log_of(other):
            pass
        raise OutputLost(job.output, "run r2")
    assert record_of(job)["run_id"] == "r2"
    assert record_of(job, "runs/r1.json")["reason"].startswith(f"{job.output} was taken over by run r2")


@contextmanager
def working(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the output and has written the record of its run."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), __file__],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    try:
        assert process.stdout and process.stdout.readline() == "works\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_killed_run_is_seen_at_once_where_it_ran(job: Job, tmp_path: Path) -> None:
    with working(tmp_path) as process:
        assert state(job) == "running"
        process.kill()
        process.wait()
        assert record_of(job)["state"] == "running"
        assert state(job) == "killed"


def test_sigterm_is_an_interruption(job: Job, tmp_path: Path) -> None:
    with working(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        process.wait()
        assert process.stderr and process.stderr.read() == "stopped; run the same command again\n"
    assert process.returncode == 130
    assert record_of(job)["exit_code"] == 130
    assert state(job) == "interrupted"


@pytest.mark.parametrize(
    ("silent_s", "changes", "found"),
    [
        (0.0, {}, "running"),
        (EXPIRES_S + 5, {}, "killed"),
        (0.0, {"released": True}, "killed"),  # it gave the output back, and its last write was lost
        (0.0, {"run_id": "r2"}, "killed"),
    ],
)
def test_the_lock_tells_of_a_run_on_another_machine(
    job: Job, silent_s: float, changes: dict[str, Any], found: str
) -> None:
    with suppress(KeyboardInterrupt), log_of(job):
        begun = Path(job.output, "run.json").read_text()
        raise KeyboardInterrupt
    Path(job.output, "run.json").write_text(begun)
    lock = Path(job.output, "locks/000007.json")
    lock.parent.mkdir()
    held = Lock("r1", "far", "another boot", 1, 0.0, "2026-01-01")
    lock.write_text(json.dumps(asdict(replace(held, **changes))))
    os.utime(lock, (time.time() - silent_s,) * 2)
    assert state(job) == found


def test_an_older_version_s_record_has_no_state(job: Job) -> None:
    Path(job.output).mkdir()
    Path(job.output, "run.json").write_text('{"run_id": "r0"}')
    assert state(job) is None


def test_addresses_mean_the_same_from_every_folder(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with log_of(job, input="in/*.wav", models="demo", benchmark="s3://b/x/", filename="in"):
        pass
    assert record_of(job)["arguments"] == {
        "input": f"{tmp_path}/in/*.wav",
        "models": "demo",
        "benchmark": "s3://b/x",
        "filename": "in",
        "output": job.output,
    }
