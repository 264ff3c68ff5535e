"""Broken files among good ones, through the whole job: the good ones' stems are the same to the bit."""

from pathlib import Path

import pytest
import soundfile

from jobs.pipeline.output.tables import read_table
from tests.bags import write_gain_bag
from tests.corpus.case import RATE, music
from tests.corpus.cases import cases
from tests.integration.conftest import Run
from tests.stores import STORE

CASES = cases()


def write_good(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        form = ("wav", "flac", "mp3", "ogg")[number % 4]
        soundfile.write(
            folder / f"{number:04}.{form}", music(RATE, 1 + number % 2, 0.3 + number % 5 / 4), RATE
        )


def stems(output: Path) -> dict[str, str]:
    rows = read_table(str(output), "timings", STORE, ["uri", "sha256"]).to_pylist()
    return {row["uri"].removeprefix(f"{output}/"): row["sha256"] for row in rows}


@pytest.mark.parametrize(
    "some", [CASES[:: len(CASES) // 5], pytest.param(CASES, marks=pytest.mark.chaos)], ids=["a few", "all"]
)
def test_one_to_nine_among_good_tracks(separate: Run, tmp_path: Path, some: list) -> None:
    write_good(tmp_path / "in", 9 * len(some))
    models = str(write_gain_bag(tmp_path / "models"))
    where = ("--models", models, "--input", str(tmp_path / "in"), "--stems", "bass,vocals")
    alone = separate(*where, "--output", str(tmp_path / "alone"))
    assert alone.returncode == 0, alone.stdout + alone.stderr

    names = {f"{number:04} {case.name.replace('/', ' ')}.mp3": case for number, case in enumerate(some)}
    for name, case in names.items():
        (tmp_path / "in" / name).write_bytes(case.data)
    mixed = separate(*where, "--output", str(tmp_path / "mixed"))
    assert mixed.returncode == 1, mixed.stdout + mixed.stderr
    rows = {row["track_id"]: row for row in read_table(str(tmp_path / "mixed"), "tracks", STORE).to_pylist()}
    assert {name: rows[name]["error_kind"] for name in names} == {
        name: case.kind for name, case in names.items()
    }
    for name, case in names.items():
        if case.kind is None:
            assert [warning.partition(":")[0] for warning in rows[name]["warnings"]] == list(case.warnings)
    assert len(rows) == 10 * len(some)
    expected = stems(tmp_path / "alone")
    assert len(expected) == 2 * 9 * len(some)
    found = stems(tmp_path / "mixed")
    assert {uri: found[uri] for uri in expected} == expected
