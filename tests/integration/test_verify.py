"""Every kind of problem, made by hand at an output that a real job wrote to a real S3 server."""

import re
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import soundfile

from jobs.pipeline.output import tables
from jobs.pipeline.output.paths import part_folder
from separation.store.filesystems import S3_SETTINGS
from tests.bags import write_one_graph
from tests.integration.conftest import Run
from tests.integration.session import Session
from tests.stores import STORE

HOSTILE = "e\x1b[31m\u202egpj.wav"
TRACKS = ("a.wav", "b.wav", "c.wav", "sub/d.wav", "new.wav", "bad.wav")
Verify = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def verify(session: Session) -> Verify:
    return partial(session.run, "jobs.verify", "--output")


def read(uri: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(STORE.read_bytes(uri)))


def write(uri: str, table: pa.Table) -> None:
    data = pa.BufferOutputStream()
    pq.write_table(table, data)
    STORE.put_bytes(data.getvalue().to_pybytes(), uri)


def test_each_problem_is_seen_then_swept_then_gone(
    separate: Run, verify: Verify, bucket: str, s3: str, tmp_path: Path
) -> None:
    catalogue = tmp_path / "in"
    for number, name in enumerate(TRACKS[:4]):
        path = catalogue / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, [[0.01 * number, 0.1]] * 30_000, 44_100)
    (catalogue / "bad.wav").write_bytes(b"")
    models = str(write_one_graph(tmp_path / "models"))
    output = f"{bucket}/out"
    job = ("--input", str(catalogue), "--output", output, "--models", models)
    job += ("--filename", "{stem}/{track_id}.{ext}")
    assert separate(*job).returncode == 1

    stem = f"{output}/stems/{{}}/{{}}.wav".format
    flipped = bytearray(STORE.read_bytes(stem("drums", "a.wav")))
    flipped[-1] ^= 1
    STORE.put_bytes(bytes(flipped), stem("drums", "a.wav"))
    STORE.put_bytes(STORE.read_bytes(stem("bass", "b.wav"))[:-1], stem("bass", "b.wav"))
    STORE.remove([stem("other", "c.wav")])
    STORE.put_bytes(b"nobody's", f"{output}/stems/{HOSTILE}/drums.wav")
    STORE.put_bytes(b"done", f"{output}/parts/{part_folder('a.wav')}/drums/0.npy")
    STORE.put_bytes(b"no such track", f"{output}/parts/{part_folder('gone%20.wav')}/drums/0.npy")
    soundfile.write(catalogue / "new.wav", [[0.1, 0.1]] * 30_000, 44_100)
    STORE.put_bytes(b"under way", f"{output}/parts/{part_folder('new.wav')}/drums/0.npy")
    key = {"Bucket": bucket.removeprefix("s3://"), "Key": "out/stems/lost.wav"}
    fsspec.filesystem("s3", **S3_SETTINGS).call_s3("create_multipart_upload", **key)
    (file,) = [each.uri for each in STORE.list_files(f"{output}/tracks")]
    twin = file.replace("/tracks/", "/timings/")
    tracks, timings = read(file), read(twin)
    again = tracks.filter(pc.field("track_id") == "sub/d.wav")
    write(f"{output}/tracks/20990101T000000-aaaaaa-00000.parquet", again)
    lost = timings.slice(0, 1).set_column(1, "track_id", pa.array(["never.wav"]))
    write(f"{output}/timings/20990101T000000-aaaaaa-00000.parquet", lost)
    found = {
        "pending": 1,
        "missing_stem": 1,
        "wrong_size": 1,
        "damaged_stem": 1,
        "untimed_track": 1,
        "duplicate_track": 1,
        "orphan_timing": 1,
        "orphan_stem": 1,
        "orphan_part": 2,
    }
    lists_uploads = s3 != "localbucket"
    if lists_uploads:
        found["unfinished_upload"] = 1

    young = verify(output, "--sweep", "--sample", "0")
    assert young.returncode == 2
    assert "nothing was removed" in young.stderr
    seen = verify(output, "--older-than", "0")
    assert seen.returncode == 1, seen.stdout + seen.stderr
    assert "6 tracks = 4 ok + 1 error + 1 pending" in seen.stdout
    assert counts(seen.stdout) == found
    assert lists_uploads != ("unfinished uploads: not looked for" in seen.stdout)
    assert "\x1b" not in seen.stdout and "\u202e" not in seen.stdout and "\\x1b[31m\\u202egpj" in seen.stdout
    (report,) = [each.uri for each in STORE.list_files(f"{output}/verify")]
    assert read(report)["kind"].to_pylist().count("orphan_part") == 2
    swept = verify(output, "--older-than", "0", "--sweep", "--repair")
    assert swept.returncode == 1, swept.stdout + swept.stderr  # a track is pending still
    assert counts(swept.stdout) == found
    assert STORE.read_bytes(f"{output}/parts/{part_folder('new.wav')}/drums/0.npy") == b"under way"
    left = verify(output, "--older-than", "0")
    # The stems of the tracks that were forgotten are nobody's until they are written anew.
    assert set(counts(left.stdout)) == {"pending", "orphan_stem"}, left.stdout

    assert separate(*job).returncode == 1
    STORE.remove([f"{output}/parts/{part_folder('new.wav')}/drums/0.npy"])
    clean = verify(output, "--older-than", "0")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert "6 tracks = 5 ok + 1 error + 0 pending" in clean.stdout
    assert "20 files of ok tracks, every size compared, 20 read again" in clean.stdout
    assert "no problems" in clean.stdout
    rows = tables.read_table(output, "tracks", STORE)["track_id"].to_pylist()
    assert sorted(rows) == sorted(TRACKS)


def counts(text: str) -> dict[str, int]:
    """The lines of the summary: how often each kind was found."""
    found = (re.match(r"(\w+) +(\d+)[:,]", line) for line in text.splitlines())
    return {match[1]: int(match[2]) for match in found if match}


def test_what_cannot_run(verify: Verify, tmp_path: Path) -> None:
    nothing = verify(str(tmp_path / "nowhere"))
    assert nothing.returncode == 2
    assert "give the catalogue as --input" in nothing.stderr
    secret = verify("https://me:hush@127.0.0.1:9/out")
    assert secret.returncode == 2
    assert "a command line can be read by others" in secret.stderr
    assert "hush" not in secret.stdout + secret.stderr
