"""Files that are not audio or incomplete get the right error kind; too large ones before memory is taken."""

import io
import pickle
from pathlib import Path

import av
import numpy as np
import pytest

from separation.audio.limits import Limits
from separation.audio.reading import open_audio
from separation.errors import ErrorKind, TrackError, UsageError
from tests.sounds import RATE, URI, encoded, muxed, noise, read, tone


def failure(data: bytes) -> TrackError:
    with pytest.raises(TrackError) as caught:
        read(data)
    assert caught.value.uri == URI
    assert "object at 0x" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return caught.value


def test_a_local_file_called_raw_is_judged_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "song.raw"
    path.write_bytes(b"no header" * 1_000)
    with path.open("rb") as file, pytest.raises(TrackError) as caught:
        open_audio(file, URI, sample_rate=RATE)
    assert caught.value.kind == ErrorKind.NOT_AUDIO


def test_an_object_of_no_bytes_is_empty() -> None:
    assert failure(b"").kind == ErrorKind.EMPTY


@pytest.mark.parametrize("format", ["WAV", "AIFF"])
def test_a_header_without_samples_is_empty(format: str) -> None:
    assert failure(encoded(noise(RATE, 0), RATE, format)).kind == ErrorKind.EMPTY


@pytest.mark.parametrize(
    "data",
    [
        b"hello " * 1_000,
        bytes(10_000),
        b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40,  # a JPEG
        b"RIFF\0\0\1\0WEBPVP8 " + bytes(range(256)) * 40,
        b"%PDF-1.7\n" + bytes(range(256)) * 40,
    ],
    ids=["text", "zeros", "jpeg", "webp", "pdf"],
)
def test_other_files_are_not_audio(data: bytes) -> None:
    assert failure(data).kind == ErrorKind.NOT_AUDIO


@pytest.mark.parametrize(
    ("magic", "name"), [(b"ajkg\2", "Shorten"), (b"\xff\xfb\2\xe4", "a free-format MP3")]
)
def test_audio_that_no_decoder_reads_is_named(magic: bytes, name: str) -> None:
    error = failure(magic + bytes(range(256)) * 40)
    assert error.kind == ErrorKind.UNSUPPORTED
    assert error.reason == f"{name}, which no decoder here reads"


def test_a_playlist_opens_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.wav").write_bytes(encoded(noise(RATE, 1_000), RATE))
    monkeypatch.chdir(tmp_path)
    playlist = b"ffconcat version 1.0\nfile 'secret.wav'\n"
    with av.open(io.BytesIO(playlist)) as container:  # what ffmpeg does when it is let
        assert sum(frame.samples for frame in container.decode(audio=0)) == 1_000
    assert failure(playlist).kind == ErrorKind.NOT_AUDIO
    assert failure(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9\nsecret.wav\n").kind == ErrorKind.NOT_AUDIO


@pytest.mark.parametrize("format", ["WAV", "RF64", "W64", "AIFF", "CAF"])
def test_an_upload_that_broke_off_is_truncated(format: str) -> None:
    error = failure(encoded(noise(RATE, 70_000), RATE, format)[:-5_000])
    assert error.kind == ErrorKind.TRUNCATED
    assert "declares" in error.reason


@pytest.mark.parametrize(
    ("form", "codec", "name"),
    [
        ("avi", "pcm_s16le", "AVI"),
        ("mpegts", "aac", "an MPEG transport stream"),
        ("adx", "adpcm_adx", "ADX"),
        ("flv", "aac", "Flash Video"),
        ("vob", "mp2", "an MPEG program stream"),
        ("voc", "pcm_s16le", "VOC"),
    ],
)
def test_a_container_that_is_not_read_is_named(form: str, codec: str, name: str) -> None:
    error = failure(muxed(tone(RATE, 50_000), RATE, form, codec))
    assert error.kind == ErrorKind.UNSUPPORTED
    assert error.reason == f"{name}, which no decoder here reads"


def test_samples_of_64_bit_integers_are_unsupported() -> None:
    data = encoded(noise(RATE, 8_000), RATE)
    wide = data[:28] + (16 * RATE).to_bytes(4, "little") + bytes([16, 0, 64, 0]) + data[36:]
    error = failure(wide)
    assert (error.kind, error.reason) == (
        ErrorKind.UNSUPPORTED,
        "wav with the unsupported codec pcm_s64le",
    )


def test_a_counted_mp3_that_broke_off_is_truncated() -> None:
    data = encoded(tone(RATE, 300_000), RATE, "MP3", "MPEG_LAYER_III")
    assert failure(data[: len(data) * 2 // 3]).kind == ErrorKind.TRUNCATED


def test_an_m4a_that_broke_off_is_truncated() -> None:
    data = muxed(tone(RATE, 300_000), RATE, "mp4", "aac", movflags="faststart")
    assert failure(data[: len(data) * 2 // 3]).kind == ErrorKind.TRUNCATED


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_flac_is_corrupt(damage: str) -> None:
    data = bytearray(encoded(noise(RATE, 200_000), RATE, "FLAC"))
    if damage == "cut":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    assert failure(bytes(data)).kind == ErrorKind.CORRUPT


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_samples_that_are_no_numbers_are_named_with_their_place(value: float, rate: int) -> None:
    samples = noise(rate, 3 * rate)
    samples[2 * rate, 1] = value
    error = failure(encoded(samples, rate, subtype="FLOAT"))
    assert error.kind == ErrorKind.NONFINITE
    assert float(error.reason.split()[-3]) == pytest.approx(2, abs=1)


@pytest.mark.parametrize(
    ("rate", "kind"),
    [
        (0, ErrorKind.BAD_HEADER),
        (1, ErrorKind.BAD_HEADER),
        (4_000, ErrorKind.UNSUPPORTED),
        (2_000_000, ErrorKind.UNSUPPORTED),
        (20_000_000, ErrorKind.BAD_HEADER),
    ],
)
def test_a_rate_that_no_music_has(rate: int, kind: ErrorKind) -> None:
    data = encoded(noise(RATE, 1_000), RATE)
    assert failure(data[:24] + rate.to_bytes(4, "little") + data[28:]).kind == kind


def test_more_than_sixteen_channels_are_unsupported() -> None:
    error = failure(encoded(noise(RATE, 1_000, 17), RATE))
    assert error.kind == ErrorKind.UNSUPPORTED
    assert "17 channels" in error.reason


def test_a_header_longer_than_the_limit_is_refused_before_anything_is_decoded() -> None:
    data = encoded(noise(8_000, 8_000), 8_000)
    with pytest.raises(TrackError, match=r"declares 0\.00 h; the limit is 0\.0001 h") as caught:
        open_audio(io.BytesIO(data), URI, Limits(hours=1e-4), sample_rate=RATE)
    assert caught.value.kind == ErrorKind.TOO_LONG


def test_limit_and_place_are_in_seconds_of_the_mix_s_own_rate() -> None:
    samples = noise(48_000, 3 * 48_000)
    samples[2 * 48_000, 1] = np.nan
    with pytest.raises(TrackError, match=r"samples from 2\.00 s on"):
        read(encoded(samples, 48_000, subtype="FLOAT"), sample_rate=48_000)
    data = encoded(noise(48_000, 2 * 48_000), 48_000, "FLAC")
    streamed = data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]
    for seconds in (2.05, 1.95):
        limits = Limits(hours=seconds / 3600)
        blocks = open_audio(io.BytesIO(streamed), URI, limits, sample_rate=48_000).blocks()
        if seconds > 2:
            assert sum(block.shape[1] for block in blocks) == 96_000
        else:
            with pytest.raises(TrackError, match="more than the limit"):
                list(blocks)


def test_what_declares_no_length_is_stopped_at_the_limit() -> None:
    data = encoded(noise(RATE, 300_000), RATE, "FLAC")
    streamed = data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]
    with pytest.raises(TrackError, match=r"more than the limit of 0\.001 h") as caught:
        list(open_audio(io.BytesIO(streamed), URI, Limits(hours=1e-3), sample_rate=RATE).blocks())
    assert caught.value.kind == ErrorKind.TOO_LONG


def test_a_source_over_the_limit_is_not_fetched() -> None:
    limits = Limits(source_bytes=1_000)
    limits.check_size(URI, 1_000)
    with pytest.raises(TrackError) as caught:
        limits.check_size(URI, 1_001)
    assert caught.value.kind == ErrorKind.TOO_LARGE


@pytest.mark.parametrize("limits", [{"hours": 0}, {"source_bytes": -1}, {"hours": float("nan")}])
def test_a_limit_is_above_nothing(limits: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="--max"):
        Limits(**limits)  # type: ignore[arg-type]
