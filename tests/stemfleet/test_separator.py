"""`Separator`: the samples of `python -m separation`, from files and from arrays; errors are one sentence."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import stemfleet
from separation import __main__ as command
from separation.contract import HTDEMUCS
from stemfleet import ModelError, Separator, TrackError, UsageError
from tests.bags import FOUR_STEMS, GAINS, write_gain_bag

SECONDS = 7  # two chunks
FLOAT = ("--float32", "--clip-mode", "none")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gain_bag(tmp_path_factory.mktemp("gains") / "models")


@pytest.fixture(scope="module")
def separator(models: Path) -> Separator:
    return Separator(models)


def music(channels: int, rate: int = HTDEMUCS.sample_rate, seconds: float = SECONDS) -> np.ndarray:
    """float64 (samples, channels) within full scale, the same at each call."""
    seeded = np.random.default_rng(channels * rate)
    return seeded.uniform(-0.9, 0.9, (int(seconds * rate), channels))


def written(models: str | Path, track: Path, out: Path, *options: str) -> dict[str, np.ndarray]:
    """What `python -m separation` writes for the track."""
    arguments = [str(track), "--models", str(models), "--out", str(out), *FLOAT, *options]
    assert command.main(arguments) == 0
    files = sorted((out / track.name).iterdir())
    return {file.stem: soundfile.read(file, dtype="float32")[0] for file in files}


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for stem, samples in expected.items():
        assert found[stem].dtype == np.float32
        assert np.array_equal(found[stem], samples), stem


@pytest.mark.parametrize(
    ("subtype", "dtype", "rate", "channels"),
    [
        ("PCM_16", "int16", HTDEMUCS.sample_rate, 2),
        ("PCM_16", "float64", HTDEMUCS.sample_rate, 2),
        ("PCM_16", "float32", 48_000, 2),
        ("PCM_24", "int32", HTDEMUCS.sample_rate, 1),
        ("PCM_24", "float32", 22_050, 1),
        ("PCM_32", "int32", HTDEMUCS.sample_rate, 2),
        ("PCM_U8", "float32", 8_000, 2),
        ("FLOAT", "float32", 96_000, 2),
        ("DOUBLE", "float64", HTDEMUCS.sample_rate, 2),
        ("PCM_16", "int16", HTDEMUCS.sample_rate, 6),
        ("PCM_16", "int16", 32_000, 3),
        ("PCM_16", "float32", HTDEMUCS.sample_rate, 16),
    ],
)
def test_a_file_and_its_array_give_what_the_program_writes(
    models: Path, separator: Separator, tmp_path: Path, subtype: str, dtype: str, rate: int, channels: int
) -> None:
    track = tmp_path / "a.wav"
    soundfile.write(track, music(channels, rate), rate, subtype)
    expected = written(models, track, tmp_path / "out")
    assert set(expected) == set(FOUR_STEMS)
    assert expected["drums"].shape == (SECONDS * HTDEMUCS.sample_rate, 2)
    assert_same(separator.separate(track), expected)
    audio, read_rate = soundfile.read(track, dtype=dtype)
    assert_same(separator.separate(audio, read_rate), expected)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (("--two-stems", "vocals"), {"two_stems": "vocals"}),
        (("--stems", "bass,drums"), {"stems": ["bass", "drums"]}),
        (
            ("--overlap", "0.5", "--shifts", "2", "--seed", "3", "--threads", "1"),
            {"overlap": 0.5, "shifts": 2, "seed": 3, "threads": 1},
        ),
        (("--provider", "openvino"), {"provider": "openvino"}),
        (("--skip-silence",), {"skip_silence": True}),
    ],
)
def test_the_options_are_the_program_s(
    models: Path, tmp_path: Path, options: tuple[str, ...], settings: dict[str, Any]
) -> None:
    track = tmp_path / "a.flac"
    soundfile.write(track, music(2), HTDEMUCS.sample_rate)
    separator = Separator(models, **settings, cache=tmp_path / "cache")
    stems = separator.separate(str(track))
    assert tuple(stems) == separator.stems
    assert_same(stems, written(models, track, tmp_path / "out", *options))


def test_the_demonstration_model_gives_what_the_program_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a folder is called demo too."""
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    track = tmp_path / "a.wav"
    soundfile.write(track, music(1, 48_000, seconds=1), 48_000)
    expected = written("demo", track, tmp_path / "out", "--stems", "bass")
    separator = Separator("demo", stems=["bass"])
    assert_same(separator.separate(track), expected)
    assert_same(separator.separate(*soundfile.read(track, dtype="int16")), expected)
    assert abs(expected["bass"]).max() > 0


def test_samples_are_neither_clipped_nor_shared(separator: Separator) -> None:
    loud = 8 * music(2)
    loud -= loud.mean()  # which the specialists do not scale
    first = separator.separate(loud, HTDEMUCS.sample_rate)
    assert abs(first["drums"]).max() > 1
    for stem, gain in GAINS.items():
        assert first[stem].flags["C_CONTIGUOUS"] and first[stem].flags["WRITEABLE"]
        np.testing.assert_allclose(first[stem], gain * loud, atol=1e-5)
    kept = first["drums"].copy()
    first["bass"][:] = 0
    separator.separate(music(2), HTDEMUCS.sample_rate)
    assert np.array_equal(first["drums"], kept)


def scaled(samples: np.ndarray, separator: Separator) -> np.ndarray:
    """The mix that an array became, from its drums."""
    return separator.separate(samples, HTDEMUCS.sample_rate)["drums"][:, 0] / GAINS["drums"]


@pytest.mark.parametrize(
    ("dtype", "full_scale", "zero"),
    [
        ("int8", 2**7, 0),
        ("uint8", 2**7, 128),
        ("int16", 2**15, 0),
        (">i2", 2**15, 0),
        ("uint16", 2**15, 2**15),
        ("int32", 2**31, 0),
        ("uint32", 2**31, 2**31),
        ("int64", 2**63, 0),
        ("float16", 1, 0),
        (">f8", 1, 0),
        ("longdouble", 1, 0),
    ],
)
def test_every_number_is_scaled_by_its_full_scale(
    separator: Separator, dtype: str, full_scale: int, zero: int
) -> None:
    wanted = np.tile([0.5, -0.5, 0.25, -0.25], 1000)  # of mean 0, which specialists do not scale
    samples = (wanted * full_scale + zero).astype(dtype)
    np.testing.assert_allclose(scaled(samples, separator), wanted, atol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 65_536, 65_537])
def test_any_length_of_one_channel(separator: Separator, length: int) -> None:
    samples = np.linspace(0.1, 0.9, length)
    for audio in (samples, samples[:, None], samples.tolist(), samples[::-1][::-1]):
        assert separator.separate(audio, HTDEMUCS.sample_rate)["vocals"].shape == (length, 2)


@pytest.mark.parametrize("rate", [22_050.0, np.int64(22_050), np.float32(22_050)])
def test_a_rate_is_any_whole_number(separator: Separator, rate: float) -> None:
    assert separator.separate(np.full(22_050, 0.5), rate)["other"].shape == (HTDEMUCS.sample_rate, 2)


LONG = np.broadcast_to(np.float32(0.1), (2, 10_000_000_000))  # takes four bytes


@pytest.mark.parametrize(
    ("audio", "rate", "sentence"),
    [
        (
            LONG,
            HTDEMUCS.sample_rate,
            "(2, 10000000000): 10000000000 channels; expected (samples,) or (samples, channels)",
        ),
        (np.zeros((2, 1_000_000)), HTDEMUCS.sample_rate, "its transpose, array.T, does"),
        (
            np.zeros((100, 17)),
            HTDEMUCS.sample_rate,
            "float64 of shape (100, 17): 17 channels; .* 1 to 16 channels",
        ),
        (np.zeros((100, 0)), HTDEMUCS.sample_rate, "0 channels"),
        (np.zeros((1, 100, 2)), HTDEMUCS.sample_rate, "float64 of shape (1, 100, 2); expected (samples,)"),
        (np.float32(0.5), HTDEMUCS.sample_rate, "float32 of shape (); expected (samples,)"),
        (np.zeros(0), HTDEMUCS.sample_rate, "float64 of shape (0,): no samples"),
        (np.zeros((0, 2)), HTDEMUCS.sample_rate, "(0, 2): no samples"),
        (np.array(["a", "b"]), HTDEMUCS.sample_rate, "<U1 of shape (2,); expected floats or integers"),
        (b"song.flac", HTDEMUCS.sample_rate, "expected floats or integers"),
        (None, HTDEMUCS.sample_rate, "object of shape (); expected floats or integers"),
        (np.zeros(10, bool), HTDEMUCS.sample_rate, "bool of shape (10,); expected floats or integers"),
        (
            np.zeros(10, complex),
            HTDEMUCS.sample_rate,
            "complex128 of shape (10,); expected floats or integers",
        ),
        ([[0.1, 0.2], [0.3]], HTDEMUCS.sample_rate, "the audio is no array but list; expected (samples,)"),
        (
            np.array([0.1, np.nan]),
            HTDEMUCS.sample_rate,
            "the array holds NaN, infinite or too large samples from 0.00 s on",
        ),
        (
            np.array([0.1, -np.inf]),
            48_000,
            "the array holds NaN, infinite or too large samples from 0.00 s on",
        ),
        (np.array([1e300]), HTDEMUCS.sample_rate, "the array holds NaN, infinite or too large samples"),
        (np.zeros(10), None, "an array needs its sample_rate"),
        (np.zeros(10), 0, "sample_rate is 0; expected a whole number of Hz from 8000 to 1536000"),
        (np.zeros(10), -44_100, "sample_rate is -44100; expected"),
        (np.zeros(10), 44.1, "sample_rate is 44.1; expected"),
        (np.zeros(10), 1_536_001, "sample_rate is 1536001; expected"),
        (np.zeros(10), float("nan"), "sample_rate is nan; expected"),
        (np.zeros(10), float("inf"), "sample_rate is inf; expected"),
        (np.zeros(10), True, "sample_rate is True; expected"),
        (np.zeros(10), "44100", "sample_rate is '44100'; expected"),
        ("song.flac", HTDEMUCS.sample_rate, "sample_rate is for arrays; a file states its own"),
    ],
)
def test_what_is_not_audio_is_one_sentence(
    separator: Separator, audio: Any, rate: Any, sentence: str
) -> None:
    with pytest.raises(UsageError) as error:
        separator.separate(audio, rate)
    text = str(error.value)
    assert all(part in text for part in sentence.split(" .* ")), text
    assert "\n" not in text and len(text) < 200


def test_what_is_wrong_with_a_file_or_an_option_is_said(
    models: Path, separator: Separator, tmp_path: Path
) -> None:
    with pytest.raises(TrackError, match="missing"):
        separator.separate(tmp_path / "none.wav")
    with pytest.raises(ModelError, match="a model folder holds it"):
        Separator(tmp_path)
    with pytest.raises(UsageError, match="the models have the stems drums, bass, other, vocals; not guitar"):
        Separator(models, stems=["guitar"])
    with pytest.raises(UsageError, match="stems is 'drums'; expected a list of names"):
        Separator(models, stems="drums")
    with pytest.raises(UsageError, match="threads is 0; expected 1 or more"):
        Separator(models, threads=0)
    with pytest.raises(UsageError, match="provider 'gpu'; expected one of auto"):
        Separator(models, provider="gpu")


def test_models_that_give_no_numbers_are_an_error(tmp_path: Path) -> None:
    separator = Separator(write_gain_bag(tmp_path / "models", {"bass": np.nan}))
    with pytest.raises(TrackError, match="the models give NaN or infinite samples as bass"):
        separator.separate(np.zeros((1_000, 2)) + 0.1, HTDEMUCS.sample_rate)


def test_what_is_unusual_is_logged(separator: Separator, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "stemfleet"):
        separator.separate(np.zeros((1000, 3)), HTDEMUCS.sample_rate)
    assert caplog.messages == [
        "array: downmix: 3 channels (FL FR FC) mixed to stereo",
        "array: level: digital silence",
    ]


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_threads_may_share_one(models: Path, tmp_path: Path, provider: str) -> None:
    separator = Separator(models, provider=provider, cache=tmp_path)
    tracks = [music(2, seconds=1 + number) for number in range(4)]
    expected = [separator.separate(track, HTDEMUCS.sample_rate) for track in tracks]
    found: dict[int, dict[str, np.ndarray]] = {}

    def work(number: int) -> None:
        found[number] = separator.separate(tracks[number], HTDEMUCS.sample_rate)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(tracks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, stems in enumerate(expected):
        assert_same(found[number], stems)


def test_the_package_names_what_callers_need() -> None:
    assert set(stemfleet.__all__) <= set(dir(stemfleet))
    assert all(getattr(stemfleet, name) for name in stemfleet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Seperator'"):
        stemfleet.Seperator  # noqa: B018
