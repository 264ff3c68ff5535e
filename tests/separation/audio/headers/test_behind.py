import io
import struct

import numpy as np
import pytest

from separation.audio.headers.behind import second_file_warnings, warnings_after_chunks
from separation.audio.headers.riff import declared_end, layout_of
from tests.corpus.case import AUDIO_SIZES, with_audio_size
from tests.sounds import encoded, muxed, noise

RATE = 44_100
WAVE = encoded(noise(RATE, 1_000), RATE)
LIST = b"LIST" + struct.pack("<I", 5) + b"INFOx\0"
WAVE64_MARKER = bytes.fromhex("5662f7ab2d39d21186c700c04f8edb8a") + struct.pack("<Q", 32) + b"12345678"
TAG = b"TAG" + b"a song".ljust(125, b"\0")
ID3V2 = b"ID3\4\0\0\0\0\1\0" + b"x" * 128


def found(data: bytes) -> list[str]:
    file = io.BytesIO(data)
    end = declared_end(file)
    assert end is not None
    return warnings_after_chunks(file, end)


@pytest.mark.parametrize("form", AUDIO_SIZES)
def test_samples_that_the_header_does_not_count(form: str) -> None:
    data = encoded(noise(RATE, 5_000), RATE, form)
    short = with_audio_size(data, form, 4_000)
    end = declared_end(io.BytesIO(short))
    assert found(data) == []
    (warning,) = found(short)
    assert warning.startswith(f"length: the header ends the audio at byte {end} of {len(data)}; ")


@pytest.mark.parametrize(
    "tail",
    [b"", b"\0", bytes(5_000), LIST, LIST + TAG, TAG, LIST * 3 + bytes(99), ID3V2],
    ids=["none", "padding", "zeros", "chunk", "chunk, tag", "tag", "chunks, zeros", "ID3v2"],
)
def test_what_follows_the_audio_of_good_files(tail: bytes) -> None:
    assert found(WAVE + tail) == []


def test_chunks_follow_wave64() -> None:
    data = encoded(noise(RATE, 1_000), RATE, "W64")
    data += bytes(-len(data) % 8)
    assert found(data + WAVE64_MARKER) == []
    assert len(found(data + b"not one ".ljust(48, b"!"))) == 1


def test_a_second_file_behind_further_chunks() -> None:
    first, data = len(WAVE + LIST), WAVE + LIST + WAVE
    assert found(data) == [f"length: a second file begins at byte {first} of {len(data)} and is left out"]


@pytest.mark.parametrize("form", ["WAV", "WAVEX", "AIFF", "CAF", "W64"])
def test_a_second_chunk_of_audio(form: str) -> None:
    data = encoded(noise(RATE, 1_000), RATE, form)
    layout = layout_of(io.BytesIO(data))
    assert layout is not None
    name = bytes.fromhex("64617461f3acd3118cd100c04f8edb8a") if form == "W64" else layout.audio_chunk
    data += bytes(-len(data) % layout.alignment)
    for first in (data, data + LIST if form.startswith("WAV") else data):
        (warning,) = found(first + first[data.index(name) : len(data)])
        assert warning == (
            f"length: a second chunk of audio begins at byte {len(first)} "
            f"of {len(first) + len(data) - data.index(name)} and is left out"
        )
    header = struct.calcsize(layout.size_format)
    empty = struct.pack(layout.size_format, layout.name_bytes + header if layout.size_includes_header else 0)
    assert found(data + name + empty) == []


def test_a_long_silence_that_the_header_does_not_count_is_read_to_the_music() -> None:
    silence = encoded(np.zeros((400_000, 2), np.float32), RATE)
    assert found(with_audio_size(silence, "WAV", 400)) == []
    assert len(found(with_audio_size(silence + b"music", "WAV", 400))) == 1


@pytest.mark.parametrize(("form", "codec"), [("flac", "flac"), ("mp4", "alac"), ("tta", "tta")])
def test_a_second_file_of_a_format_without_chunks(form: str, codec: str) -> None:
    data = muxed(noise(RATE, 400_000), RATE, form, codec)
    assert second_file_warnings(io.BytesIO(data)) == []
    (warning,) = second_file_warnings(io.BytesIO(data + data))
    assert f"at byte {len(data)} of {2 * len(data)}" in warning
