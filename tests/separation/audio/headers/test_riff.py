import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from separation.audio.headers.riff import declared_end

FORMATS = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF"]


def encoded(format: str, frames: int = 1_001, subtype: str = "PCM_16", **options: object) -> bytes:
    file = io.BytesIO()
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (frames, 2))
    soundfile.write(file, samples, 44_100, format=format, subtype=subtype, **options)
    return file.getvalue()


@pytest.mark.parametrize("format", FORMATS)
def test_a_whole_file_holds_what_it_declares(format: str) -> None:
    data = encoded(format)
    declared = declared_end(io.BytesIO(data))
    assert declared is not None
    assert len(data) - 8 <= declared <= len(data)  # at most alignment after it


@pytest.mark.parametrize("format", FORMATS)
def test_a_cut_file_declares_more_than_it_holds(format: str) -> None:
    data = encoded(format)[:-9]
    declared = declared_end(io.BytesIO(data))
    assert declared is not None
    assert declared > len(data)


def test_big_endian_wav() -> None:
    data = encoded("WAV", endian="BIG")
    assert data[:4] == b"RIFX"
    assert declared_end(io.BytesIO(data)) == len(data)


def test_chunks_behind_the_audio_do_not_count() -> None:
    data = encoded("WAV")
    assert declared_end(io.BytesIO(data + b"LIST" + struct.pack("<I", 10**6))) == len(data)


def test_an_odd_chunk_before_the_audio_is_padded() -> None:
    data = encoded("WAV")
    odd = data[:12] + b"note" + struct.pack("<I", 3) + b"abc\0" + data[12:]
    assert declared_end(io.BytesIO(odd)) == len(odd)


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF - 36])
def test_sizes_that_streaming_writers_leave_declare_nothing(size: int) -> None:
    data = encoded("WAV")
    at = data.index(b"data") + 4
    assert declared_end(io.BytesIO(data[:at] + struct.pack("<I", size) + data[at + 4 :])) is None


@pytest.mark.parametrize("form", ["CAF", "W64"])
def test_a_chunk_that_would_end_beyond_any_file(form: str, tmp_path: Path) -> None:
    data = encoded(form)
    first = 8 if form == "CAF" else 40
    name = 4 if form == "CAF" else 16
    size = 2**63 - 99
    field = struct.pack(">q" if form == "CAF" else "<Q", size)
    path = tmp_path / "song"
    path.write_bytes(data[: first + name] + field + data[first + name + 8 :])
    with path.open("rb") as file:
        assert declared_end(file) is None


@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\0\0\0\0WAVEfmt ", b"hello " * 99, b"riff" + bytes(99)])
def test_what_is_no_such_file_declares_nothing(data: bytes) -> None:
    assert declared_end(io.BytesIO(data)) is None
