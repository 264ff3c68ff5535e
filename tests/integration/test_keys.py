"""Keys as catalogues have them, through a real S3 server: a place of its own, or a row that says why not."""

import io

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from jobs.pipeline.catalogue.reading import read_catalogue
from jobs.pipeline.output.tables import read_table
from separation.contract import HTDEMUCS
from tests.bags import write_gain_bag
from tests.integration.conftest import Run
from tests.keys import BAD, GOOD
from tests.stores import STORE

TOO_LONG = "k" * 1_000 + ".wav"
REFUSED = {*BAD, TOO_LONG}
GAINS = {"drums": 0.5, "vocals": 0.0625}
# Only a manifest names these: no URL holds the steps . and .., and the test's servers take no newline.
UNLISTED = {key for key in BAD if "\n" in key or {".", ".."} & set(key.split("/"))}
NO_FILES = {key for key in BAD if "" in key.split("/")} | {TOO_LONG}  # localbucket keeps keys as files


def audio(level: float) -> bytes:
    tone = level * np.sin(np.arange(HTDEMUCS.sample_rate // 10) / 7)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone, tone], 1), HTDEMUCS.sample_rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_every_key_is_its_own_place_or_a_bad_key(
    separate: Run, bucket: str, s3: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every track has a level of its own, so that a stem in another's place is told."""
    client, name = boto3.client("s3"), bucket.removeprefix("s3://")  # not through the code under test
    unlisted = UNLISTED | NO_FILES if s3 == "localbucket" else UNLISTED
    levels = {key: (number + 1) / 64 for number, key in enumerate((*GOOD, *sorted(REFUSED)))}
    for key in levels.keys() - unlisted:
        client.put_object(Bucket=name, Key=f"in/{key}", Body=audio(levels[key]))
    listed = read_catalogue(f"{bucket}/in/**", f"{bucket}/out", STORE).tracks.to_pylist()
    assert {row["track_id"] for row in listed} == levels.keys() - unlisted
    entries = [*listed, *({"track_id": key, "uri": f"{bucket}/in/{key}", "error": None} for key in unlisted)]
    manifest = tmp_path_factory.mktemp("catalogue") / "manifest.parquet"
    pq.write_table(pa.Table.from_pylist(entries), manifest)
    models = str(write_gain_bag(tmp_path_factory.mktemp("models"), GAINS))
    where = ("--input", str(manifest), "--output", f"{bucket}/out", "--models", models)
    done = separate(*where, "--float32", "--clip-mode", "none")
    assert done.returncode == 1, done.stdout + done.stderr

    rows = {row["track_id"]: row for row in read_table(f"{bucket}/out", "tracks", STORE).to_pylist()}
    assert set(rows) == set(levels)
    assert {key for key, row in rows.items() if row["status"] == "ok"} == set(GOOD)
    assert {key for key, row in rows.items() if row["error_kind"] == "bad_key"} == REFUSED
    assert all(row["error"] and "\n" not in row["error"] for key, row in rows.items() if key in REFUSED)

    written = client.list_objects_v2(Bucket=name, Prefix="out/stems/")["Contents"]
    assert {item["Key"] for item in written} == {
        f"out/stems/{key}/{stem}.wav" for key in GOOD for stem in GAINS
    }
    for key in GOOD:
        body = client.get_object(Bucket=name, Key=f"out/stems/{key}/drums.wav")["Body"].read()
        peak = np.abs(soundfile.read(io.BytesIO(body))[0]).max()
        assert peak == pytest.approx(levels[key] * GAINS["drums"], rel=0.02), key

    again = separate(*where, "--float32", "--clip-mode", "none")
    assert again.returncode == 1
    assert " 0 left" in again.stdout
