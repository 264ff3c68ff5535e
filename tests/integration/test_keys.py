"""Keys as catalogues have them, through a real S3 server: a place of its own, or a row that says why not."""

import io

import boto3
import numpy as np
import pytest
import soundfile

from jobs.pipeline.tables import read_table
from separation.contract import SAMPLE_RATE
from tests.bags import GAINS, write_gain_bag
from tests.integration.conftest import Run
from tests.keys import BAD, GOOD

TOO_LONG = "k" * 1_000 + ".wav"
# HTTP libraries take the steps . and .. out of a URL: only a manifest can name such keys.
REFUSED = {key for key in (*BAD, TOO_LONG) if not {".", ".."} & set(key.split("/"))}


def audio(level: float) -> bytes:
    tone = level * np.sin(np.arange(SAMPLE_RATE // 10) / 7)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone, tone], 1), SAMPLE_RATE, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_every_key_is_its_own_place_or_a_bad_key(
    separate: Run, bucket: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every track has a level of its own, so that a stem in another's place is told."""
    s3, name = boto3.client("s3"), bucket.removeprefix("s3://")  # not through the code under test
    levels = {key: (number + 1) / 64 for number, key in enumerate((*GOOD, *sorted(REFUSED)))}
    for key, level in levels.items():
        s3.put_object(Bucket=name, Key=f"in/{key}", Body=audio(level))
    models = str(write_gain_bag(tmp_path_factory.mktemp("models")))
    where = ("--input", f"{bucket}/in/**", "--output", f"{bucket}/out", "--models", models)
    done = separate(*where, "--float32", "--clip-mode", "none")
    assert done.returncode == 1, done.stdout + done.stderr

    rows = {row["track_id"]: row for row in read_table(f"{bucket}/out", "tracks").to_pylist()}
    assert set(rows) == set(levels)
    assert {key for key, row in rows.items() if row["status"] == "ok"} == set(GOOD)
    assert {key for key, row in rows.items() if row["error_kind"] == "bad_key"} == REFUSED
    assert all(row["error"] and "\n" not in row["error"] for key, row in rows.items() if key in REFUSED)

    written = s3.list_objects_v2(Bucket=name, Prefix="out/stems/")["Contents"]
    assert {item["Key"] for item in written} == {
        f"out/stems/{key}/{stem}.wav" for key in GOOD for stem in GAINS
    }
    for key in GOOD:
        body = s3.get_object(Bucket=name, Key=f"out/stems/{key}/drums.wav")["Body"].read()
        peak = np.abs(soundfile.read(io.BytesIO(body))[0]).max()
        assert peak == pytest.approx(levels[key] * GAINS["drums"], rel=0.02), key

    again = separate(*where, "--float32", "--clip-mode", "none")
    assert again.returncode == 1
    assert " 0 left" in again.stdout
