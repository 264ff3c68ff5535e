import io
import pickle
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from separation.contract import SAMPLE_RATE
from separation.errors import Kind, TrackError, UsageError
from separation.limits import Limits
from separation.reading import open_audio

URI = "s3://catalogue/song"
EXACT = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("WAV", "DOUBLE"),
    ("WAV", "ULAW"),
    ("WAVEX", "PCM_24"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_32"),
    ("AIFF", "PCM_16"),
    ("AIFF", "FLOAT"),
    ("AU", "PCM_16"),
    ("CAF", "PCM_24"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
]
LOSSY = [("mp3", "libmp3lame"), ("adts", "aac"), ("mp4", "aac"), ("ogg", "libopus"), ("webm", "libopus")]
LOSSLESS = [("mp4", "alac"), ("wv", "wavpack"), ("tta", "tta"), ("matroska", "flac")]


def noise(rate: int, samples: int, channels: int = 2) -> np.ndarray:
    """(samples, channels), quiet enough that no codec clips it."""
    return np.random.default_rng(samples).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)


def tone(rate: int, samples: int) -> np.ndarray:
    """(samples, 2): a chirp, which no two places of share their neighbourhood."""
    t = np.arange(samples) / rate
    return (
        np.stack([np.sin(3_000 * t + 900 * t**2), np.sin(2_000 * t + 500 * t**2)], 1).astype(np.float32) / 3
    )


def encoded(
    samples: np.ndarray, rate: int, format: str = "WAV", subtype: str = "PCM_16", **more: object
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=format, subtype=subtype, **more)
    return file.getvalue()


def muxed(samples: np.ndarray, rate: int, format: str, codec: str, **options: str) -> bytes:
    """Encoded by ffmpeg, the way most of the world's compressed files were."""
    with (
        tempfile.TemporaryDirectory() as folder,
        av.open(f"{folder}/song", "w", format=format, options=options) as container,
    ):
        stream = container.add_stream(codec, rate=rate)
        stream.codec_context.layout = "stereo"
        stream.codec_context.bit_rate = 256_000
        depths = [known.name for known in stream.codec_context.codec.audio_formats]
        stream.codec_context.format = next(name for name in ("fltp", "s16p", "s16") if name in depths)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout="stereo")
        frame.rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        frame_size = stream.codec_context.frame_size or None
        resampler = av.AudioResampler(stream.codec_context.format, "stereo", rate, frame_size)
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(piece))
        container.close()
        return Path(folder, "song").read_bytes()


def read(data: bytes, start: int = 0, stop: int | None = None) -> np.ndarray:
    blocks = list(open_audio(io.BytesIO(data), URI).blocks(start, stop))
    for block in blocks:
        assert block.dtype == np.float32
    return np.concatenate([np.zeros((2, 0), np.float32), *blocks], axis=1)


def failure(data: bytes) -> TrackError:
    with pytest.raises(TrackError) as caught:
        read(data)
    assert caught.value.uri == URI
    assert "object at 0x" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return caught.value


def assert_ranges_have_the_bits_of_the_whole(data: bytes) -> None:
    whole = read(data)
    end = whole.shape[1]
    for start, stop in [
        (0, 1),
        (end // 3, end // 3 + 777),
        (end // 2, None),
        (end - 1, end),
        (end - 2, end + 9),
    ]:
        assert np.array_equal(read(data, start, stop), whole[:, start:stop]), (start, stop)


@pytest.mark.parametrize(("format", "subtype"), EXACT)
@pytest.mark.parametrize("channels", [1, 2])
def test_an_exact_format_gives_its_samples_and_any_range_of_them(
    format: str, subtype: str, channels: int
) -> None:
    data = encoded(noise(SAMPLE_RATE, 150_001, channels), SAMPLE_RATE, format, subtype)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    mix = read(data)
    assert mix.shape == (2, 150_001)
    np.testing.assert_array_equal(mix[0], expected[:, 0])
    np.testing.assert_array_equal(mix[1], expected[:, -1])
    assert_ranges_have_the_bits_of_the_whole(data)


@pytest.mark.parametrize(("format", "subtype"), [("WAV", "PCM_16"), ("FLAC", "PCM_24"), ("AIFF", "PCM_16")])
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_099, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_another_rate_keeps_the_duration_and_any_range(
    format: str, subtype: str, rate: int, channels: int
) -> None:
    samples = 11 * rate + 7
    data = encoded(noise(rate, samples, channels), rate, format, subtype)
    assert read(data).shape[1] == pytest.approx(samples * SAMPLE_RATE / rate, abs=1)
    assert_ranges_have_the_bits_of_the_whole(data)


def test_a_48_khz_tone_is_the_same_tone_at_44_1_khz() -> None:
    data = encoded(tone(48_000, 5 * 48_000), 48_000, subtype="FLOAT")
    expected = tone(SAMPLE_RATE, 5 * SAMPLE_RATE).T
    inner = slice(500, -500)
    np.testing.assert_allclose(read(data)[:, inner], expected[:, inner], atol=1e-5)


@pytest.mark.parametrize("samples", [1, 2, 44_099, 44_100, 44_101, 65_536, 65_537])
@pytest.mark.parametrize("format", ["WAV", "FLAC"])
def test_odd_lengths(samples: int, format: str) -> None:
    assert read(encoded(noise(SAMPLE_RATE, samples), SAMPLE_RATE, format)).shape == (2, samples)


@pytest.mark.parametrize(("format", "codec"), LOSSY)
def test_a_lossy_file_starts_where_its_source_did_and_any_range_has_its_bits(format: str, codec: str) -> None:
    rate = 48_000 if codec == "libopus" else SAMPLE_RATE
    data = muxed(tone(rate, 3 * rate), rate, format, codec)
    mix, source = read(data), tone(SAMPLE_RATE, 3 * SAMPLE_RATE).T
    delay = 1_024 if format == "adts" else 0  # ADTS has nowhere to say how long the encoder's delay is
    mix = mix[:, delay:]
    assert mix.shape[1] == pytest.approx(3 * SAMPLE_RATE, abs=2_048)
    middle = slice(SAMPLE_RATE, 2 * SAMPLE_RATE)
    assert np.abs(mix[:, middle] - source[:, middle]).max() < 0.05
    assert_ranges_have_the_bits_of_the_whole(data)


@pytest.mark.parametrize(("format", "codec"), LOSSLESS)
def test_a_lossless_file_behind_ffmpeg_gives_its_samples(format: str, codec: str) -> None:
    source = tone(SAMPLE_RATE, SAMPLE_RATE)
    data = muxed(source, SAMPLE_RATE, format, codec)
    np.testing.assert_allclose(read(data), source.T, atol=1 / 32_767)
    assert_ranges_have_the_bits_of_the_whole(data)


@pytest.mark.parametrize("subtype", ["MS_ADPCM", "IMA_ADPCM"])
def test_a_compressed_wav_is_not_entered_in_its_middle(subtype: str) -> None:
    data = encoded(tone(SAMPLE_RATE, 100_000), SAMPLE_RATE, "WAV", subtype)
    mix = read(data)
    assert mix.shape[1] == pytest.approx(100_000, abs=2_048)  # whole packets
    assert np.abs(mix[:, 1_000:100_000] - tone(SAMPLE_RATE, 100_000).T[:, 1_000:]).max() < 0.05
    assert_ranges_have_the_bits_of_the_whole(data)


def test_mp3_without_gaps_has_the_source_s_length() -> None:
    data = encoded(tone(SAMPLE_RATE, 100_001), SAMPLE_RATE, "MP3", "MPEG_LAYER_III")
    assert read(data).shape == (2, 100_001)
    assert open_audio(io.BytesIO(data), URI).codec == "mp3float"


def test_a_vbr_mp3_without_its_length_is_read_to_its_end() -> None:
    samples = np.concatenate([tone(SAMPLE_RATE, 200_000) / 1_000, noise(SAMPLE_RATE, 200_000)])
    data = encoded(samples, SAMPLE_RATE, "MP3", "MPEG_LAYER_III", bitrate_mode="VARIABLE")
    assert b"Xing" in data
    blind = data.replace(b"Xing", b"\0\0\0\0")
    assert read(blind).shape[1] == pytest.approx(400_000, abs=2 * 1_152 + 1_105)
    assert_ranges_have_the_bits_of_the_whole(blind)
    np.testing.assert_array_equal(read(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + blind), read(blind))


@pytest.mark.parametrize(
    ("format", "subtype"), [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS")], ids=["mp3", "chained ogg"]
)
def test_joined_streams_are_read_to_the_end_of_the_last(format: str, subtype: str) -> None:
    data = encoded(tone(SAMPLE_RATE, 100_000), SAMPLE_RATE, format, subtype)
    assert read(data + data).shape[1] == pytest.approx(200_000, abs=4_000)


@pytest.mark.parametrize("tail", [b"TAG" + bytes(125), b"APETAGEX" + bytes(9_000), bytes(5_000)])
def test_a_tag_behind_an_mp3_harms_nothing(tail: bytes) -> None:
    data = encoded(tone(SAMPLE_RATE, 300_000), SAMPLE_RATE, "MP3", "MPEG_LAYER_III")
    np.testing.assert_array_equal(read(data + tail)[:, :299_000], read(data)[:, :299_000])


def test_a_reader_tells_what_the_source_is() -> None:
    reader = open_audio(io.BytesIO(encoded(noise(48_000, 24_000, 1), 48_000, "FLAC")), URI)
    assert (reader.sample_rate_hz, reader.channels, reader.codec) == (48_000, 1, "flac pcm_16")
    assert reader.duration_s == 0.5


def test_a_reader_can_be_read_again() -> None:
    for data in (
        encoded(noise(48_000, 9_000), 48_000),
        encoded(tone(44_100, 9_000), 44_100, "OGG", "VORBIS"),
    ):
        reader = open_audio(io.BytesIO(data), URI)
        first, second = list(reader.blocks()), list(reader.blocks())
        np.testing.assert_array_equal(np.concatenate(first, 1), np.concatenate(second, 1))


@pytest.mark.parametrize("size", [b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_a_streamed_wav_is_read_to_its_end(size: bytes) -> None:
    data = encoded(noise(SAMPLE_RATE, 70_000), SAMPLE_RATE)
    at = data.index(b"data") + 4
    np.testing.assert_array_equal(read(data[:at] + size + data[at + 4 :]), read(data))


def test_a_streamed_flac_is_read_to_its_end() -> None:
    data = encoded(noise(SAMPLE_RATE, 70_000), SAMPLE_RATE, "FLAC")
    streamed = bytearray(data)
    streamed[21] &= 0xF0
    streamed[22:26] = bytes(4)
    np.testing.assert_array_equal(read(bytes(streamed)), read(data))


def test_a_flac_behind_an_id3_tag_is_read() -> None:
    data = encoded(noise(SAMPLE_RATE, 7_000), SAMPLE_RATE, "FLAC")
    np.testing.assert_array_equal(read(b"ID3\x04\0\0\0\0\0\x0a" + bytes(10) + data), read(data))


def test_a_local_file_called_raw_is_judged_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "song.raw"
    path.write_bytes(b"no header" * 1_000)
    with path.open("rb") as file, pytest.raises(TrackError) as caught:
        open_audio(file, URI)
    assert caught.value.kind == Kind.NOT_AUDIO


def test_an_object_of_no_bytes_is_empty() -> None:
    assert failure(b"").kind == Kind.EMPTY


@pytest.mark.parametrize("format", ["WAV", "AIFF"])
def test_a_header_without_samples_is_empty(format: str) -> None:
    assert failure(encoded(noise(SAMPLE_RATE, 0), SAMPLE_RATE, format)).kind == Kind.EMPTY


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
    assert failure(data).kind == Kind.NOT_AUDIO


def test_a_playlist_opens_no_other_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.wav").write_bytes(encoded(noise(SAMPLE_RATE, 1_000), SAMPLE_RATE))
    monkeypatch.chdir(tmp_path)
    playlist = b"ffconcat version 1.0\nfile 'secret.wav'\n"
    with av.open(io.BytesIO(playlist)) as container:  # what ffmpeg does when it is let
        assert sum(frame.samples for frame in container.decode(audio=0)) == 1_000
    assert failure(playlist).kind == Kind.NOT_AUDIO
    assert failure(b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9\nsecret.wav\n").kind == Kind.NOT_AUDIO


@pytest.mark.parametrize("format", ["WAV", "RF64", "W64", "AIFF", "CAF"])
def test_an_upload_that_broke_off_is_truncated(format: str) -> None:
    error = failure(encoded(noise(SAMPLE_RATE, 70_000), SAMPLE_RATE, format)[:-5_000])
    assert error.kind == Kind.TRUNCATED
    assert "declares" in error.reason


def test_a_counted_mp3_that_broke_off_is_truncated() -> None:
    data = encoded(tone(SAMPLE_RATE, 300_000), SAMPLE_RATE, "MP3", "MPEG_LAYER_III")
    assert failure(data[: len(data) * 2 // 3]).kind == Kind.TRUNCATED


def test_an_m4a_that_broke_off_is_truncated() -> None:
    data = muxed(tone(SAMPLE_RATE, 300_000), SAMPLE_RATE, "mp4", "aac", movflags="faststart")
    assert failure(data[: len(data) * 2 // 3]).kind == Kind.TRUNCATED


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
def test_a_damaged_flac_is_corrupt(damage: str) -> None:
    data = bytearray(encoded(noise(SAMPLE_RATE, 200_000), SAMPLE_RATE, "FLAC"))
    if damage == "cut":
        del data[len(data) // 2 :]
    else:
        data[len(data) // 2 : len(data) // 2 + 100] = bytes(100)
    assert failure(bytes(data)).kind == Kind.CORRUPT


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_samples_that_are_no_numbers_are_named_with_their_place(value: float, rate: int) -> None:
    samples = noise(rate, 3 * rate)
    samples[2 * rate, 1] = value
    error = failure(encoded(samples, rate, subtype="FLOAT"))
    assert error.kind == Kind.NONFINITE
    assert float(error.reason.split()[-3]) == pytest.approx(2, abs=1)


@pytest.mark.parametrize(
    ("rate", "kind"),
    [(0, Kind.BAD_HEADER), (1, Kind.BAD_HEADER), (4_000, Kind.UNSUPPORTED), (384_000, Kind.UNSUPPORTED)],
)
def test_a_rate_that_no_music_has(rate: int, kind: Kind) -> None:
    data = encoded(noise(SAMPLE_RATE, 1_000), SAMPLE_RATE)
    assert failure(data[:24] + rate.to_bytes(4, "little") + data[28:]).kind == kind


def test_five_channels_and_a_subwoofer_are_mixed_as_itu_has_it() -> None:
    """FL FR FC LFE BL BR, a level each: centre and surround at -3 dB, no LFE, all by the sum of a row."""
    levels = np.array([0.5, 0.25, 0.125, 1.0, 0.0625, -0.25])
    data = encoded(np.tile(levels, (1_000, 1)).astype(np.float32), SAMPLE_RATE, subtype="FLOAT")
    reader = open_audio(io.BytesIO(data), URI)
    (mix,) = reader.blocks()
    left, right = (0.5 + (0.125 + 0.0625) / 2**0.5), (0.25 + (0.125 - 0.25) / 2**0.5)
    expected = np.array([left, right]) / (1 + 2**0.5)
    np.testing.assert_allclose(mix, np.tile(expected[:, None], 1_000), rtol=1e-6)
    assert reader.warnings == ["downmix: 6 channels (FL FR FC LFE BL BR) mixed to stereo"]


def test_a_declared_layout_is_used() -> None:
    """WAVE_FORMAT_EXTENSIBLE with FL FR BL BR in its mask, and with FL FR FC BC."""
    data = encoded(noise(SAMPLE_RATE, 1_000, 4), SAMPLE_RATE, "WAVEX", "PCM_16")
    for mask, names in ((0x33, "FL FR BL BR"), (0x107, "FL FR FC BC")):
        masked = data[:40] + mask.to_bytes(4, "little") + data[44:]
        assert names in open_audio(io.BytesIO(masked), URI).warnings[0]


@pytest.mark.parametrize("channels", [3, 6, 16])
@pytest.mark.parametrize("format", ["WAV", "W64"])
def test_a_range_of_a_downmix_has_the_bits_of_the_whole(channels: int, format: str) -> None:
    data = encoded(noise(48_000, 150_001, channels), 48_000, format)
    assert_ranges_have_the_bits_of_the_whole(data)


def test_more_than_sixteen_channels_are_unsupported() -> None:
    error = failure(encoded(noise(SAMPLE_RATE, 1_000, 17), SAMPLE_RATE))
    assert error.kind == Kind.UNSUPPORTED
    assert "17 channels" in error.reason


def test_a_header_longer_than_the_limit_is_refused_before_anything_is_decoded() -> None:
    data = encoded(noise(8_000, 8_000), 8_000)
    with pytest.raises(TrackError, match=r"declares 0\.00 h; the limit is 0\.0001 h") as caught:
        open_audio(io.BytesIO(data), URI, Limits(hours=1e-4))
    assert caught.value.kind == Kind.TOO_LONG


def test_what_declares_no_length_is_stopped_at_the_limit() -> None:
    data = encoded(noise(SAMPLE_RATE, 300_000), SAMPLE_RATE, "FLAC")
    streamed = data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]
    with pytest.raises(TrackError, match=r"more than the limit of 0\.001 h") as caught:
        list(open_audio(io.BytesIO(streamed), URI, Limits(hours=1e-3)).blocks())
    assert caught.value.kind == Kind.TOO_LONG


def test_a_source_over_the_limit_is_not_fetched() -> None:
    limits = Limits(source_bytes=1_000)
    limits.check_size(URI, 1_000)
    with pytest.raises(TrackError) as caught:
        limits.check_size(URI, 1_001)
    assert caught.value.kind == Kind.TOO_LARGE


@pytest.mark.parametrize("limits", [{"hours": 0}, {"source_bytes": -1}, {"hours": float("nan")}])
def test_a_limit_is_above_nothing(limits: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="--max"):
        Limits(**limits)  # type: ignore[arg-type]
