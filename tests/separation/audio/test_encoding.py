import hashlib
import io
import os
import struct
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from separation.audio import ogg_serial
from separation.audio.encoding import ClipMode, Encoding, clip, clip_divisor, write_audio
from separation.errors import UsageError
from tests.sounds import RATE

ENCODINGS = [
    Encoding("wav", 16),
    Encoding("wav", 24),
    Encoding("wav", "float"),
    Encoding("flac", 16),
    Encoding("flac", 24),
    Encoding("mp3"),
    Encoding("ogg"),
]


def stem(frames: int = 150_001) -> np.ndarray:
    t = np.arange(frames) / 44_100
    return np.float32([np.sin(2_764 * t), np.sin(1_382 * t)]) * np.float32(0.8)


def write(path: Path, audio: np.ndarray, encoding: Encoding, cuts: int = 1, rate: int = RATE) -> bytes:
    written = write_audio(path, np.array_split(audio, cuts, axis=1), audio.shape[1], encoding, rate)
    data = path.read_bytes()
    assert (written.bytes, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return data


def second_has_passed_since(moment: float) -> bool:
    return int(time.time()) > int(moment)


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
def test_the_same_samples_give_the_same_bytes_at_another_time_in_other_blocks(
    encoding: Encoding, tmp_path: Path
) -> None:
    first, begun = write(tmp_path / "first", stem(), encoding), time.time()
    while not second_has_passed_since(begun):  # libsndfile stamps seconds, and seeds by them
        os.sched_yield()
    for cuts in (3, 1_000):
        assert write(tmp_path / "again", stem(), encoding, cuts) == first


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@pytest.mark.parametrize("frames", [1, 65_535, 65_537])
def test_every_format_reads_back_with_its_length_and_samples(
    encoding: Encoding, frames: int, tmp_path: Path
) -> None:
    data = write(tmp_path / "stem", stem(frames), encoding)
    read, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    assert (read.shape, rate) == ((frames, 2), 44_100)
    step = {16: 2**-15, 24: 2**-23, "float": 0}[encoding.bits]
    if encoding.format in ("wav", "flac"):
        # 1 is 32,767 of 32,768 steps, and the rest of a step is cut: demucs's rounding
        assert np.abs(read.T - stem(frames)).max() <= 2 * step
    elif frames > 1:
        assert np.abs(read.T - stem(frames))[:, 2_000:-2_000].max() < 0.1


HELD = {  # of every limit of a format, the rate on it, and the next one beyond
    "wav": ([8_000, 44_099, 1_536_000], []),
    "flac": ([8_000, 44_099, 65_535, 65_540, 655_350], [65_536, 99_999, 655_360]),
    "mp3": (
        [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
        [44_099, 50_000, 96_000],
    ),
    "ogg": ([8_000, 44_099, 200_000], [200_001]),
}


@pytest.mark.parametrize(("format", "rate"), [(name, rate) for name in HELD for rate in HELD[name][0]])
def test_a_file_has_the_rate_asked_for_and_all_samples(format: str, rate: int, tmp_path: Path) -> None:
    data = write(tmp_path / "stem", stem(9_001), Encoding(format), rate=rate)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.samplerate, file.frames, file.channels) == (rate, 9_001, 2)


@pytest.mark.parametrize(("format", "rate"), [(name, rate) for name in HELD for rate in HELD[name][1]])
def test_a_rate_that_the_format_cannot_hold_is_a_usage_error(format: str, rate: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{format} cannot hold the models' {rate} Hz; its rates are"):
        write(tmp_path / "stem", stem(9_001), Encoding(format), rate=rate)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bits", [16, 24])
def test_flac_holds_the_samples_of_the_wav(bits: int, tmp_path: Path) -> None:
    loud = stem() * np.float32(1.5)
    wav = write(tmp_path / "wav", loud, Encoding("wav", bits))
    flac = write(tmp_path / "flac", loud, Encoding("flac", bits))
    expected, _ = soundfile.read(io.BytesIO(wav), dtype="int32")
    found, _ = soundfile.read(io.BytesIO(flac), dtype="int32")
    np.testing.assert_array_equal(found, expected)


def test_mp3_is_320_kilobits_a_second(tmp_path: Path) -> None:
    data = write(tmp_path / "mp3", stem(441_000), Encoding("mp3"))
    assert len(data) * 8 / 10 == pytest.approx(320_000, rel=0.02)


def test_ogg_pages_have_one_serial_and_right_checksums(tmp_path: Path) -> None:
    data = write(tmp_path / "ogg", stem(441_000), Encoding("ogg"))
    assert data.count(struct.pack("<I", ogg_serial.SERIAL), 0, 18) == 1
    with av.open(io.BytesIO(data)) as container:  # ffmpeg checks every page's checksum
        decoded = sum(frame.samples for frame in container.decode(audio=0))
    assert decoded == 441_000


def test_the_checksum_is_ogg_s() -> None:
    file = io.BytesIO()
    soundfile.write(file, stem(1_000).T, 44_100, format="OGG", subtype="VORBIS")
    first_page = bytearray(file.getvalue()[: 27 + 1 + 30])  # the identification header: one segment of 30
    stated = struct.unpack("<I", first_page[22:26])[0]
    first_page[22:26] = bytes(4)
    assert ogg_serial.checksum(bytes(first_page)) == stated


@pytest.mark.parametrize("announced", [999, 1_001])
def test_a_wrong_count_of_samples_is_refused(announced: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"got 1000 samples, expected {announced}"):
        write_audio(tmp_path / "stem", [stem(1_000)], announced, Encoding(), RATE)


@pytest.mark.parametrize(
    ("format", "bits"), [("wav", 32), ("flac", "float"), ("mp3", 24), ("ogg", "float"), ("aac", 16)]
)
def test_an_encoding_that_does_not_exist_is_a_usage_error(format: str, bits: object) -> None:
    with pytest.raises(UsageError, match=format):
        Encoding(format, bits)


def test_the_extension_is_the_format_s() -> None:
    assert [Encoding(format).extension for format in ("wav", "flac", "mp3", "ogg")] == [
        "wav",
        "flac",
        "mp3",
        "ogg",
    ]


@pytest.mark.parametrize("peak", [0.5, 0.99, 1.0, 1.7])
def test_rescale_divides_all_stems_of_a_track_by_one_number(peak: float) -> None:
    loud, quiet = stem() / np.float32(0.8) * np.float32(peak), stem() * np.float32(0.1)
    divisor = clip_divisor(peak, "rescale")
    scaled = [clip(block, "rescale", divisor) for block in (loud, quiet)]
    if 1.01 * peak <= 1:
        np.testing.assert_array_equal(scaled[0], loud)
        np.testing.assert_array_equal(scaled[1], quiet)
    else:
        assert np.abs(scaled[0]).max() == pytest.approx(1 / 1.01, rel=1e-4)
        np.testing.assert_allclose(scaled[0] / (1.01 * peak), loud / (1.01 * peak) ** 2, rtol=1e-6)
        np.testing.assert_allclose(scaled[1], quiet / (1.01 * peak), rtol=1e-6)


@pytest.mark.parametrize(("mode", "expected"), [("clamp", 0.99), ("none", 1.5)])
def test_the_other_clip_modes(mode: ClipMode, expected: float) -> None:
    clipped = clip(np.float32([[1.5, -1.5, 0.5]]), mode, clip_divisor(1.5, mode))
    np.testing.assert_array_equal(clipped, np.float32([[expected, -expected, 0.5]]))
    assert clipped.dtype == np.float32
