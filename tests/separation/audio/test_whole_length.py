"""Every sample of a file is read, whatever stands before it and however short it is."""

import io

import numpy as np
import pytest
import soundfile

from separation.audio.reading import open_audio
from separation.errors import ErrorKind, TrackError
from tests.corpus.case import id3
from tests.sounds import RATE, URI, encoded, muxed, read, tone

SOUND = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC"]
MUXED = [
    *[("wv", "wavpack"), ("tta", "tta"), ("ogg", "libopus"), ("ogg", "flac"), ("caf", "alac")],
    *[("mp3", "libmp3lame"), ("adts", "aac"), ("mp4", "aac"), ("asf", "wmav2"), ("matroska", "flac")],
    *[("ac3", "ac3"), ("w64", "pcm_s16le"), ("aiff", "pcm_s16be")],
]
TAGS = {"small": id3(2_038), "odd": id3(1_001), "large": id3(500_000), "two": id3(300) + id3(2_000)}


def warnings_of(data: bytes) -> list[str]:
    reader = open_audio(io.BytesIO(data), URI, sample_rate=RATE)
    for _ in reader.blocks():
        pass
    return reader.warnings


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
@pytest.mark.parametrize("form", SOUND)
def test_a_tag_in_front_takes_nothing_from_uncompressed_audio(form: str, tag: bytes) -> None:
    data = encoded(tone(RATE, 300_000), RATE, form)
    np.testing.assert_array_equal(read(tag + data), read(data))
    assert warnings_of(tag + data) == []


@pytest.mark.parametrize("tag", TAGS.values(), ids=TAGS)
@pytest.mark.parametrize(("form", "codec"), MUXED)
def test_a_tag_in_front_takes_nothing_from_compressed_audio(form: str, codec: str, tag: bytes) -> None:
    rate = 48_000 if codec == "libopus" else RATE
    data = muxed(tone(rate, rate), rate, form, codec)
    np.testing.assert_array_equal(read(tag + data), read(data))
    assert warnings_of(tag + data) == []


@pytest.mark.parametrize("form", SOUND[:-1])
def test_a_file_that_broke_off_behind_a_tag_is_truncated(form: str) -> None:
    data = TAGS["small"] + encoded(tone(RATE, 100_000), RATE, form)
    with pytest.raises(TrackError, match=f"the object has {len(data) - 5_000}$") as caught:
        read(data[:-5_000])
    assert caught.value.kind == ErrorKind.TRUNCATED


@pytest.mark.parametrize("samples", [1, 2, 100, 500, 1_000, 3_000, 10_000, 15_000, 30_000, 44_100, 60_000])
@pytest.mark.parametrize(("subtype", "rate"), [("VORBIS", RATE), ("OPUS", 48_000)])
def test_a_short_ogg_has_the_samples_that_were_encoded(subtype: str, rate: int, samples: int) -> None:
    data = encoded(tone(rate, samples), rate, "OGG", subtype)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    mix = read(data, sample_rate=rate)
    assert mix.shape == (2, samples)
    np.testing.assert_allclose(mix, expected.T, atol=1e-4 if subtype == "VORBIS" else 0.02)
    np.testing.assert_array_equal(read(data, samples // 2, samples, rate), mix[:, samples // 2 :])


def test_two_short_oggs_in_one_are_both_read() -> None:
    data = encoded(tone(RATE, 10_000), RATE, "OGG", "VORBIS")
    assert read(data * 2).shape[1] == pytest.approx(20_000, abs=2_048)


def test_a_short_ogg_that_broke_off_is_truncated() -> None:
    data = encoded(tone(RATE, 10_000), RATE, "OGG", "VORBIS")
    with pytest.raises(TrackError) as caught:
        read(data[:-100])
    assert caught.value.kind == ErrorKind.TRUNCATED


@pytest.mark.parametrize("samples", [1, 2_456, 4_095, 4_096, 4_097, 8_191, 8_192, 50_000, 264_600])
@pytest.mark.parametrize("container", ["mp4", "matroska", "caf", "caf of libsndfile"])
def test_the_last_packet_of_alac_is_whole(container: str, samples: int) -> None:
    source = tone(RATE, samples)
    if container == "caf of libsndfile":
        data = encoded(source, RATE, "CAF", "ALAC_16")
    else:
        data = muxed(source, RATE, container, "alac")
    np.testing.assert_allclose(read(data), source.T, atol=1 / 32_767)
    np.testing.assert_array_equal(read(data, samples // 2, None), read(data)[:, samples // 2 :])


@pytest.mark.parametrize(("rate", "frame"), [(44_100, 1_152), (48_000, 1_152), (22_050, 576), (16_000, 576)])
def test_an_mp3_without_its_last_frames_says_so(rate: int, frame: int) -> None:
    data = encoded(tone(rate, 20 * rate), rate, "MP3", "MPEG_LAYER_III")
    assert warnings_of(data) == []
    starts = [at for at in range(len(data)) if data[at : at + 2] == data[:2]]
    (warning,) = warnings_of(data[: starts[-2]])
    assert warning.startswith(f"length: the header declares {20 * rate} samples; ")
    assert 20 * rate - 3 * frame < int(warning.split()[-4]) < 20 * rate


@pytest.mark.parametrize("padding", [bytes(1), bytes(5_000), id3(500) + bytes(900)])
@pytest.mark.parametrize("vbr", [True, False])
def test_zeros_before_an_mp3_change_nothing(padding: bytes, vbr: bool) -> None:
    data = encoded(
        tone(RATE, 100_001), RATE, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE" if vbr else "CONSTANT"
    )
    mix = read(padding + data)
    assert mix.shape == (2, 100_001)
    np.testing.assert_array_equal(mix, read(data))
