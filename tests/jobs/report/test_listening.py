import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.report.entries import SampleTrack
from jobs.report.listening import (
    CLIP_S,
    COLUMNS,
    HOPS_PER_SECOND,
    encode_mp3,
    envelope,
    listen,
    liveliest_hop,
)
from separation.audio.encoding import Encoding, write_audio
from tests.bags import FOUR_STEMS
from tests.sounds import DECODERS, RATE
from tests.stores import STORE

SECONDS = 16
TONES = dict(zip(FOUR_STEMS, (220, 330, 440, 550), strict=True))  # Hz
BUSY = 4, 15  # seconds between which all four play; elsewhere only the drums


def voice(stem: str, rate: int = RATE) -> np.ndarray:
    tone = 0.15 * np.sin(2 * np.pi * TONES[stem] * np.arange(SECONDS * rate) / rate)
    if stem != "drums":
        tone[: BUSY[0] * rate] = tone[BUSY[1] * rate :] = 0
    return np.stack([tone, tone]).astype(np.float32)


def write_track(
    folder: Path, form: str, factor: float = 1.0, stems: tuple[str, ...] = FOUR_STEMS, rate: int = RATE
) -> SampleTrack:
    files = {}
    for stem in stems:
        files[stem] = str(folder / f"{stem}.{form}")
        samples = voice(stem, rate) * np.float32(factor)
        write_audio(files[stem], [samples], samples.shape[1], Encoding(form), rate)  # type: ignore[arg-type]
    return SampleTrack("a", SECONDS, factor, files, mix=FOUR_STEMS)


def heard_samples(clip: bytes, rate: int = RATE) -> np.ndarray:
    samples, found = soundfile.read(io.BytesIO(clip))
    assert found == rate
    return samples.T


def loudest_tone(samples: np.ndarray, rate: int = RATE) -> float:
    spectrum = np.abs(np.fft.rfft(samples[0]))
    return float(np.argmax(spectrum) * rate / samples.shape[1])


@pytest.mark.parametrize(("rate", "heard_at"), [(16_000, 16_000), (48_000, 48_000), (96_000, 44_100)])
def test_stems_of_other_rates_are_heard_as_they_are(tmp_path: Path, rate: int, heard_at: int) -> None:
    heard = listen(write_track(tmp_path, "wav", rate=rate), STORE, DECODERS)
    assert 4.0 <= heard.clip_start_s <= 5.0
    assert heard.clip_s == CLIP_S
    for each in heard.sounds[1:]:
        samples = heard_samples(each.clip, heard_at)
        assert samples.shape[1] == pytest.approx(CLIP_S * heard_at, abs=3_000)
        assert loudest_tone(samples, heard_at) == pytest.approx(TONES[each.name], abs=1)


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "ogg"])
def test_clips_are_each_stem_where_all_play(tmp_path: Path, form: str) -> None:
    heard = listen(write_track(tmp_path, form), STORE, DECODERS)
    assert heard.notes == []
    assert [each.name for each in heard.sounds] == ["mix", *FOUR_STEMS]
    assert 4.0 <= heard.clip_start_s <= 5.0
    assert heard.clip_s == CLIP_S
    for each in heard.sounds[1:]:
        samples = heard_samples(each.clip)
        assert abs(samples.shape[1] - CLIP_S * RATE) < 3000
        assert loudest_tone(samples) == pytest.approx(TONES[each.name], abs=1)
        assert samples.std() == pytest.approx(0.15 / np.sqrt(2), rel=0.1)
    assert heard.peak == pytest.approx(np.abs(sum(map(voice, FOUR_STEMS))).max(), rel=0.1)
    silent_end = heard.sounds[4].envelope[-10:]
    assert silent_end.max() < 0.01 < heard.sounds[1].envelope[-12:-2].min()


def test_the_mix_is_the_sum_at_the_level_of_the_separation(tmp_path: Path) -> None:
    heard = listen(write_track(tmp_path, "wav", factor=0.25), STORE, DECODERS)
    middle = slice(RATE, 8 * RATE)
    mix, *stems = (heard_samples(each.clip)[:, middle] for each in heard.sounds)
    np.testing.assert_allclose(mix, sum(stems), atol=0.02)
    assert stems[0].std() == pytest.approx(0.15 / np.sqrt(2), rel=0.05)


def test_a_missing_stem_is_a_note_and_leaves_no_mix(tmp_path: Path) -> None:
    track = write_track(tmp_path, "wav")
    Path(track.stems["bass"]).unlink()
    Path(track.stems["other"]).write_bytes(b"<html>404</html>")
    heard = listen(track, STORE, DECODERS)
    assert [each.name for each in heard.sounds] == ["drums", "vocals"]
    bass, other, mix = heard.notes
    assert bass == "bass: not at the output"
    assert other.startswith("other: ")
    assert "no mix" in mix


def test_a_stem_too_large_for_its_length_is_not_copied(tmp_path: Path) -> None:
    track = write_track(tmp_path, "wav")
    with Path(track.stems["bass"]).open("r+b") as file:
        file.truncate(3_000_000_000)  # sparse
    heard = listen(track, STORE, DECODERS)
    assert heard.notes[0] == "bass: 3000000000 bytes, too many for its length or to be shown"
    hours = replace(track, duration_s=36_000.0)
    assert listen(hours, STORE, DECODERS).notes[0] == heard.notes[0]


def test_no_stem_at_all_is_a_note(tmp_path: Path) -> None:
    track = write_track(tmp_path, "wav")
    for uri in track.stems.values():
        Path(uri).unlink()
    heard = listen(track, STORE, DECODERS)
    assert heard.sounds == []
    assert heard.notes == ["drums, bass, other, vocals: not at the output"]
    assert listen(SampleTrack("a", 1.0, 1.0, {}), STORE, DECODERS).notes == [
        "the timings name no stems of this track"
    ]


def test_the_mix_is_the_sum_of_the_stems_that_make_it_alone(tmp_path: Path) -> None:
    track = replace(write_track(tmp_path, "wav"), mix=("vocals", "drums"))
    heard = listen(track, STORE, DECODERS)
    middle = slice(RATE, 8 * RATE)
    mix, drums, _, _, vocals = (heard_samples(each.clip)[:, middle] for each in heard.sounds)
    np.testing.assert_allclose(mix, drums + vocals, atol=0.02)
    assert [each.name for each in listen(replace(track, mix=()), STORE, DECODERS).sounds] == list(FOUR_STEMS)


def test_one_stem_of_four_is_no_mix(tmp_path: Path) -> None:
    heard = listen(write_track(tmp_path, "wav", stems=("vocals",)), STORE, DECODERS)
    assert [each.name for each in heard.sounds] == ["vocals"]
    assert "no mix" in heard.notes[0]


def test_a_track_shorter_than_a_clip_is_heard_whole(tmp_path: Path) -> None:
    samples = voice("drums")[:, : RATE * 3 // 2 + 7]
    write_audio(tmp_path / "a.wav", [samples], samples.shape[1], Encoding(), RATE)
    heard = listen(SampleTrack("a", 1.5, 1.0, {"drums": str(tmp_path / "a.wav")}), STORE, DECODERS)
    assert heard.clip_start_s == 0
    assert heard.clip_s == samples.shape[1] / RATE


def test_lively_weighs_a_quiet_stem_like_a_loud_one() -> None:
    loud, quiet = np.full(300, 1.0), np.zeros(300)
    loud[:100] = 1.05
    quiet[150:250] = 1e-4
    assert liveliest_hop(np.stack([loud, quiet]), CLIP_S * HOPS_PER_SECOND) == 150


def test_an_envelope_keeps_every_peak() -> None:
    peaks = np.zeros(1000, np.float32)
    peaks[777] = 0.9
    found = envelope(peaks)
    assert (len(found), found.max()) == (COLUMNS, np.float32(0.9))
    assert len(envelope(peaks[:7])) == 7


def test_a_clip_too_loud_is_turned_down() -> None:
    samples = heard_samples(encode_mp3(voice("drums")[:, : 2 * RATE] * 20, RATE))
    assert 0.8 < np.abs(samples).max() < 1.1
    assert loudest_tone(samples[:, RATE // 2 : RATE]) == pytest.approx(220, abs=2)
