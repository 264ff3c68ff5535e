"""What wrong command lines refer to: models, songs, outputs, and files of the wrong kind."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.bags import write_gain_bag
from tests.outputs import finished_rows, write_record, write_tables


@pytest.fixture(scope="session")
def things(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths by the names that stand for them on the command lines of the tests."""
    root = tmp_path_factory.mktemp("things")
    noise = 0.1 * np.random.default_rng(0).standard_normal((4_410, 2))
    for name in ("songs/a.wav", "songs/b.wav", "other/a.wav"):
        (root / name).parent.mkdir(exist_ok=True)
        soundfile.write(root / name, noise, 44_100)
    write_gain_bag(root / "models")
    damaged = write_gain_bag(root / "damaged") / "bass.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    for name in ("empty", "folder.csv"):
        (root / name).mkdir()
    (root / "file").write_text("a file where a folder is expected")
    (root / "broken").mkdir()
    (root / "broken/run.json").write_text("{")
    write_used_output(root)
    return {path.name: str(path) for path in root.iterdir()} | {
        "song": f"{root}/songs/a.wav",
        "missing": f"{root}/missing",
        "out": f"{root}/out",
    }


def write_used_output(root: Path) -> None:
    """The output `used` of an earlier run with other models, and its `catalogue.csv`."""
    rows = finished_rows(12)
    write_tables(root / "used", "r1", rows)
    write_record(root / "used", settings={"models": {"bass": "0"}, "precision": "fp32", "options": {}})
    ids = [row["track_id"] for row in rows if row["track_id"].isprintable()]
    lines = [f"{json.dumps({'track_id': each, 'uri': f'/nowhere/{each}'})}\n" for each in ids]
    (root / "catalogue.jsonl").write_text("".join(lines))
