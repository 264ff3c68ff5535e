"""Secrets of the environment and of a manifest's addresses stay where they are."""

import os
import pickle
import re
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import soundfile

from jobs.pipeline import job_request
from jobs.separate.__main__ import parser
from separation.store.filesystems import open_store
from tests.bags import write_gain_bag
from tests.integration.conftest import STORE_BYTES, start_cluster
from tests.stores import STORE

CANARY = "canary4711tweet"


class Music(SimpleHTTPRequestHandler):
    """The files of a folder to whoever asks, and a failure at `broken`."""

    def do_GET(self) -> None:
        if "broken" in self.path:
            return self.send_error(500)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def holders(folder: Path) -> list[str]:
    """The files below a folder that hold the canary."""
    return [
        str(path) for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()
    ]


def test_a_canary_is_found_nowhere(
    s3_endpoint: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", f"{CANARY}token")
    served = tmp_path / "served"
    served.mkdir()
    soundfile.write(served / "good.wav", [[0.1, 0.2]] * 30_000, 44_100)
    (served / "text.mp3").write_text("not audio")
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0),
        lambda *args: Music(*args, directory=str(served)),  # type: ignore[arg-type]
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web = f"http://me:{CANARY}@127.0.0.1:{server.server_port}"
    signed = f"?X-Amz-Signature={CANARY}"
    models = str(write_gain_bag(tmp_path / "models"))
    bag = ("--models", models, "--cache", str(tmp_path / "cache"), "--stems", "bass,vocals")
    output, texts = f"{bucket}/out", []
    with start_cluster(STORE_BYTES) as cluster:

        def run(program: str, *arguments: str, to: str = output) -> int:
            command = [sys.executable, "-m", f"jobs.{program}", "--output", to, *arguments]
            done = subprocess.run(command, env=cluster.environment, capture_output=True, text=True)
            texts.append(done.stdout + done.stderr)
            return done.returncode

        def separate(manifest: str, *uris: str) -> int:
            path = tmp_path / manifest
            path.write_text("\n".join(["uri", *uris]))
            return run("separate", "--input", str(path), "--source-patience", "0", *bag)

        good = [f"{web}/{name}{signed}" for name in ("good.wav", "text.mp3", "missing.wav", "broken.wav")]
        assert separate("good.csv", *good) == 2, texts[-1]
        host = f"http://127.0.0.1:{server.server_port}"
        assert f"error: 1 source could not be reached: 1 at {host}; run again" in texts[-1]
        assert "left 0  failed 2  unreachable 1" in texts[-1]
        assert run("report") == 0
        assert run("report", "--format", "md") == 0
        assert run("verify") == 1, texts[-1]
        assert "pending" in texts[-1]
        short = ("--tracks", "1", "--seconds", "1", "--codecs", "wav", "--repeats", "1", "--stems", "bass")
        assert run("benchmark", *bag, *short, to=f"{output}/benchmark") == 0, texts[-1]
        session = next(
            Path(found[1])
            for process in Path("/proc").glob("[0-9]*/cmdline")
            if str(cluster.pid) == process.parent.name
            and (found := re.search(r"--temp-dir\0([^\0]+)", process.read_text()))
        )
        assert list(session.rglob("*.log"))
        assert holders(session) == []
    server.shutdown()
    assert all(CANARY not in text for text in texts)
    stored = list(STORE.list_files(output))
    assert {"run.json", "report.html", "report.md"} <= {each.uri.rpartition("/")[2] for each in stored}
    assert len(stored) > 8
    assert any("/benchmark/benchmarks/" in each.uri for each in stored)
    for each in stored:
        assert CANARY not in each.uri
        assert CANARY.encode() not in STORE.read_bytes(each.uri), each.uri
    assert "127.0.0.1" in str(STORE.read_bytes(f"{output}/report.html"))


def test_what_travels_with_tasks_has_no_filesystem_in_it(
    s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A pickled s3fs instance holds the keys."""
    from ray import cloudpickle

    from jobs.pipeline import dataset, sizing
    from jobs.pipeline.ledger import RemoteLedger
    from jobs.pipeline.stages.separation import separation_stages
    from jobs.verify.stored_stems import read_batch

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    open_store("s3://bucket/key")
    models = str(write_gain_bag(tmp_path / "models"))
    words = ["--input", "s3://music/", "--output", "s3://music/out", "--models", models]
    request = job_request.from_arguments(
        parser().parse_args([*words, "--cache", str(tmp_path / "cache")]), STORE
    )
    job = request.job([sizing.Node(4, 0, 2e9)])
    sent = [pickle.dumps(job)]
    stages, log = separation_stages(job), RemoteLedger(None)
    tasks = [
        dataset._task(stage, job, log) for stage in (stages.probe, stages.split, stages.cut, stages.stitch)
    ]
    pools = [dataset._pool(stage, job, log) for stage in stages.infer]
    sent += [cloudpickle.dumps(each) for each in (*tasks, *pools, stages.finish, read_batch)]
    for data in sent:
        assert CANARY.encode() not in data
        assert b"fsspec" not in data and b"s3fs" not in data
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == CANARY
