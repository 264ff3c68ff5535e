"""A decoder that crashes, hangs or takes all memory costs only its track; samples are as in one process."""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from separation.audio.decoder_process.decoding import Decoding, open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.decoder_process.process import DecoderUnusable, decoder_command
from separation.audio.limits import DEFAULTS, Limits
from separation.audio.reading import open_audio
from separation.errors import ErrorKind, TrackError
from tests.sounds import RATE, encoded, muxed, noise, tone

PATIENT = replace(DEFAULTS, silence_s=60)


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    with DecoderPool() as pool:
        yield pool


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Twelve seconds at 48 kHz, so that they are resampled."""
    path = tmp_path / "song.flac"
    path.write_bytes(encoded(noise(48_000, 12 * 48_000), 48_000, "FLAC"))
    return path


def failure(path: Path, pool: DecoderPool, limits: Limits = PATIENT) -> TrackError:
    with (
        path.open("rb") as file,
        pytest.raises(TrackError) as caught,
        open_decoding(file, str(path), pool, limits, RATE) as decoding,
    ):
        for _ in decoding.blocks():
            pass
    assert caught.value.uri == str(path)
    return caught.value


def pid_of(decoding: Decoding) -> int:
    assert decoding._process is not None
    return decoding._process.pid


def whole(path: Path, pool: DecoderPool) -> np.ndarray:
    with path.open("rb") as file, open_decoding(file, str(path), pool, PATIENT, RATE) as decoding:
        return np.concatenate(list(decoding.blocks()), axis=1)


def in_process(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.concatenate(list(open_audio(file, str(path), sample_rate=RATE).blocks()), axis=1)


@pytest.mark.parametrize("format", ["wav", "flac 48", "mp3", "m4a"])
def test_the_bits_are_those_of_this_process(tmp_path: Path, pool: DecoderPool, format: str) -> None:
    data = {
        "wav": lambda: encoded(noise(RATE, 300_001), RATE),
        "flac 48": lambda: encoded(noise(48_000, 600_001, 1), 48_000, "FLAC"),
        "mp3": lambda: encoded(tone(RATE, 300_001), RATE, "MP3", "MPEG_LAYER_III"),
        "m4a": lambda: muxed(tone(RATE, 300_001), RATE, "mp4", "aac"),
    }[format]()
    path = tmp_path / "song"
    path.write_bytes(data)
    expected = in_process(path)
    with path.open("rb") as file, open_decoding(file, "x", pool, PATIENT, RATE) as decoding:
        reader = open_audio(path.open("rb"), "x", sample_rate=RATE)
        for name in ("sample_rate_hz", "channels", "codec", "duration_s"):
            assert getattr(decoding, name) == getattr(reader, name)
        np.testing.assert_array_equal(np.concatenate(list(decoding.blocks()), 1), expected)
        part = np.concatenate(list(decoding.blocks(70_000, 200_000)), 1)
        np.testing.assert_array_equal(part, expected[:, 70_000:200_000])


def test_one_child_decodes_files_to_different_rates(song: Path, pool: DecoderPool) -> None:
    for rate, samples in ((48_000, 12 * 48_000), (RATE, 12 * RATE), (None, 12 * 48_000)):  # None: its own
        with song.open("rb") as file, open_decoding(file, "x", pool, PATIENT, sample_rate=rate) as decoding:
            assert sum(block.shape[1] for block in decoding.blocks()) == samples
    assert len(pool._idle) == 1


def test_one_child_serves_many_files_good_and_bad(song: Path, tmp_path: Path, pool: DecoderPool) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(song.read_bytes()[:9_000])
    expected = in_process(song)
    pids = set()
    for _ in range(3):
        np.testing.assert_array_equal(whole(song, pool), expected)
        assert failure(bad, pool).kind in (ErrorKind.CORRUPT, ErrorKind.TRUNCATED)
        (child,) = pool._idle
        pids.add(child.pid)
    assert len(pids) == 1


def test_a_segfault_in_between_costs_nothing_but_a_child(song: Path, pool: DecoderPool) -> None:
    with song.open("rb") as file, open_decoding(file, "x", pool, PATIENT, RATE) as decoding:
        pid, got = pid_of(decoding), []
        for block in decoding.blocks():
            if len(got) == 2:
                os.kill(pid, signal.SIGSEGV)
            got.append(block)
        assert pid_of(decoding) != pid
    np.testing.assert_array_equal(np.concatenate(got, axis=1), in_process(song))


CRASHING = """
import ctypes, sys
import separation.audio.decoder_process.server as process
process.open_audio = lambda *arguments: ctypes.string_at(0)
"""


def crashing(tmp_path: Path, code: str) -> tuple[str, ...]:
    """The command of a decoder process in which `code` has replaced `open_audio`."""
    program = tmp_path / "child.py"
    code = code.replace("process.open_audio", "process.Server._open")
    program.write_text(f"import sys; sys.path = {sys.path!r}\n{code}process.main()\n")
    return (sys.executable, "-P", str(program))


def test_a_decoder_that_segfaults_each_time_is_the_tracks_error(song: Path, tmp_path: Path) -> None:
    error = failure(song, DecoderPool(crashing(tmp_path, CRASHING)))
    assert error.kind == ErrorKind.CRASHED
    assert error.reason == "its decoder was killed by SIGSEGV, 3 times"


def test_a_decoder_that_ends_itself_says_its_last_words(song: Path, tmp_path: Path) -> None:
    code = CRASHING.replace("ctypes.string_at(0)", "sys.exit('out of luck')")
    error = failure(song, DecoderPool(crashing(tmp_path, code)))
    assert (error.kind, error.reason) == (
        ErrorKind.CRASHED,
        "its decoder exited with code 1: out of luck, 3 times",
    )


def test_a_decoder_that_hangs_is_the_tracks_error(song: Path, pool: DecoderPool) -> None:
    with (
        song.open("rb") as file,
        open_decoding(file, "x", pool, replace(DEFAULTS, silence_s=1), RATE) as decoding,
    ):
        pid = pid_of(decoding)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(TrackError) as caught:
            list(decoding.blocks())
    assert (caught.value.kind, caught.value.reason) == (
        ErrorKind.CRASHED,
        "its decoder stalled: no samples for 1 s",
    )
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert whole(song, pool).shape[0] == 2


def test_an_error_of_a_hang_is_there_within_a_minute() -> None:
    assert DEFAULTS.silence_s < 60


def test_a_decoder_that_skips_much_is_alive(tmp_path: Path, pool: DecoderPool) -> None:
    """An MP3 is decoded from its beginning: five hours before the range give heartbeats instead of blocks."""
    path = tmp_path / "long.mp3"
    minute = encoded(np.zeros((60 * 8_000, 1), np.float32), 8_000, "MP3", "MPEG_LAYER_III")
    path.write_bytes(minute * 300)
    begin = 299 * 60 * RATE
    limits = replace(DEFAULTS, silence_s=1.5)
    with path.open("rb") as file, open_decoding(file, "x", pool, limits, RATE) as decoding:
        assert sum(block.shape[1] for block in decoding.blocks(begin, begin + 1_000)) == 1_000


def test_a_file_that_makes_its_decoder_swallow_memory_is_too_large(tmp_path: Path, pool: DecoderPool) -> None:
    """An MP4 that declares a codec description of 900 MB: ffmpeg allocates it before reading."""
    data = bytearray(muxed(tone(RATE, 50_000), RATE, "mp4", "alac", movflags="faststart"))
    path, size = tmp_path / "bomb.m4a", 900_000_000
    at = data.rindex(b"alac") - 4
    data[at : at + 4] = (size + 12).to_bytes(4, "big")
    parents = [data.index(name) - 4 for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")]
    parents.append(data.index(b"alac") - 4)
    for parent in parents:
        old = int.from_bytes(data[parent : parent + 4], "big")
        data[parent : parent + 4] = (old + size).to_bytes(4, "big")
    path.write_bytes(data[: at + 12])
    with path.open("r+b") as file:
        file.truncate(at + 12 + size)
        file.seek(0, os.SEEK_END)
        file.write(data[at + 48 :])
    error = failure(path, pool, replace(PATIENT, memory_bytes=600_000_000))
    assert (error.kind, error.reason) == (ErrorKind.TOO_LARGE, "decoding it takes more than 0.6 GB of memory")


def test_a_child_can_open_nothing_and_has_no_environment(
    song: Path, pool: DecoderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    with song.open("rb") as file, open_decoding(file, "x", pool, PATIENT, RATE) as decoding:
        pid = pid_of(decoding)
        files = len(os.listdir(f"/proc/{pid}/fd"))
        assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (files, files)
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""


def test_a_child_without_work_or_parent_ends(song: Path, pool: DecoderPool) -> None:
    whole(song, pool)
    (child,) = pool._idle
    child._socket.close()
    assert child._process.wait(timeout=600) == 0
    assert whole(song, pool).shape[0] == 2


def test_an_installation_without_decoders_stops_everything(song: Path) -> None:
    broken = [word.replace("process.server", "process.no_such_module") for word in decoder_command()]
    with (
        song.open("rb") as file,
        pytest.raises(DecoderUnusable, match="No module named"),
        open_decoding(file, "x", DecoderPool(broken), PATIENT, RATE),
    ):
        pass


def test_an_abandoned_iteration_harms_no_other(song: Path, pool: DecoderPool) -> None:
    with song.open("rb") as file, open_decoding(file, "x", pool, PATIENT, RATE) as decoding:
        blocks = decoding.blocks()
        next(blocks)
        blocks.close()
        np.testing.assert_array_equal(np.concatenate(list(decoding.blocks()), 1), in_process(song))


def test_a_closed_pool_leaves_no_process(song: Path) -> None:
    pool = DecoderPool()
    whole(song, pool)
    (idle,) = pool._idle
    with song.open("rb") as file, open_decoding(file, "x", pool, PATIENT, RATE) as decoding:
        busy = pid_of(decoding)
        assert busy == idle.pid
        whole(song, pool)
        (idle,) = pool._idle
        pool.close()
        assert not idle.is_running()
    with pytest.raises(ProcessLookupError):
        os.kill(busy, 0)
