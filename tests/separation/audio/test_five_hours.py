"""Five hours of FLAC in a file of 3 MB are decoded or refused in no more memory than a short file."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from separation.audio.decoder_process.decoding import open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.limits import DEFAULTS
from separation.errors import ErrorKind, TrackError
from separation.level import LevelMeter

HOURS = 5
RATE = 44_100
PEAK_BYTES = 250_000_000


@pytest.fixture(scope="module")
def five_hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "five hours.flac"
    minute = np.zeros((60 * RATE, 2), np.int16)
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16", format="FLAC") as file:
        for _ in range(HOURS * 60):
            file.write(minute)
    assert path.stat().st_size < 4_000_000
    return path


def peak_bytes(pid: int) -> int:
    """The peak resident memory of a running process."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


@pytest.mark.long
@pytest.mark.parametrize("streamed", [False, True], ids=["declared", "length unknown"])
def test_five_hours_are_decoded_or_refused_in_bounded_memory(
    five_hours: Path, tmp_path: Path, streamed: bool
) -> None:
    data = bytearray(five_hours.read_bytes())
    if streamed:
        data[21] &= 0xF0
        data[22:26] = bytes(4)
    path, pool, meter = tmp_path / "x.flac", DecoderPool(), LevelMeter()
    path.write_bytes(data)
    with path.open("rb") as file:
        with open_decoding(file, "x", pool, DEFAULTS, RATE) as decoding:
            for block in decoding.blocks():
                meter.add(block)
        assert meter.samples == HOURS * 3600 * RATE
        with (
            pytest.raises(TrackError) as caught,
            open_decoding(file, "x", pool, replace(DEFAULTS, hours=1), RATE) as decoding,
        ):
            for _ in decoding.blocks():
                pass
        assert caught.value.kind == ErrorKind.TOO_LONG
    (child,) = pool._idle
    assert peak_bytes(child.pid) < PEAK_BYTES
    child.kill()
