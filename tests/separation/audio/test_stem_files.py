import errno
import hashlib
import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile
from aiohttp import web

from separation.audio.stem_files import MixMinus, is_read_back, write_stems
from separation.errors import ErrorKind, StorageError, TrackError
from separation.options import Options
from separation.store.disk.full_disk import DiskFull
from tests.faulty_store import Exchange, Proxy
from tests.sounds import RATE
from tests.stores import STORE

LOUD = np.array([[2.0, -0.5], [0.0, 1.0]], np.float32)


def write(folder: Path, options: Options) -> tuple[dict[str, np.ndarray], float]:
    stems = {"drums": [LOUD], "bass": [LOUD / 4]}
    files, factor = write_stems(stems, "a.wav", 2, options, str(folder), STORE, sample_rate=RATE)
    return {file.stem: soundfile.read(file.uri, dtype="float32")[0].T for file in files}, factor


def test_rescale_keeps_the_stems_relative_levels(tmp_path: Path) -> None:
    stems, factor = write(tmp_path, Options(bits="float"))
    assert factor == pytest.approx(1 / 2.02)
    np.testing.assert_allclose(stems["drums"], LOUD / 2.02, rtol=1e-6)
    np.testing.assert_allclose(stems["drums"], stems["bass"] * 4, rtol=1e-6)


def test_float_without_clipping_keeps_what_is_over_one(tmp_path: Path) -> None:
    stems, factor = write(tmp_path, Options(bits="float", clip_mode="none"))
    assert factor == 1
    np.testing.assert_array_equal(stems["drums"], LOUD)


def test_clamp_leaves_the_rest_alone(tmp_path: Path) -> None:
    stems, factor = write(tmp_path, Options(bits="float", clip_mode="clamp"))
    assert factor == 1
    np.testing.assert_array_equal(stems["drums"], np.clip(LOUD, -0.99, 0.99))
    np.testing.assert_array_equal(stems["bass"], LOUD / 4)


def test_a_failing_stem_leaves_no_file(tmp_path: Path) -> None:
    class Broken:
        def __iter__(self):  # type: ignore[no-untyped-def]
            yield LOUD
            raise OSError("the source went away")

    with pytest.raises(OSError, match="went away"):
        write_stems({"drums": Broken()}, "a.wav", 4, Options(), str(tmp_path), STORE, sample_rate=RATE)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 1])
def test_a_stem_that_is_no_numbers_is_an_error_of_its_track(tmp_path: Path, value: float, at: int) -> None:
    blocks = [LOUD.copy(), LOUD.copy()]
    blocks[at][0, 1] = value
    with pytest.raises(TrackError, match="the models give NaN or infinite samples as bass") as caught:
        write_stems(
            {"drums": [LOUD, LOUD], "bass": blocks},
            "a.wav",
            4,
            Options(),
            str(tmp_path),
            STORE,
            sample_rate=RATE,
        )
    assert caught.value.kind == ErrorKind.NONFINITE
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG, errno.EIO])
def test_a_path_that_a_disk_refuses_is_the_tracks_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As exFAT says to `a?.wav` and a disk in UTF-8 to other bytes; a broken disk is no track's."""
    monkeypatch.setattr(os, "replace", Mock(side_effect=OSError(number, os.strerror(number))))
    refused = number != errno.EIO
    with pytest.raises(TrackError if refused else StorageError, match=os.strerror(number)) as caught:
        write(tmp_path, Options())
    assert getattr(caught.value, "kind", None) == (ErrorKind.BAD_KEY if refused else None)
    assert "drums.wav" in str(caught.value)


def test_a_full_disk_is_named_by_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", Mock(side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with pytest.raises(DiskFull, match=f"disk full: {tmp_path}.* has [0-9]+ bytes left"):
        write(tmp_path, Options())


def test_stem_and_complement_add_up_to_the_mix() -> None:
    mix = np.ones((2, 10), np.float32)
    (rest,) = MixMinus([mix], [[mix * 0.25]])
    np.testing.assert_array_equal(rest, np.full((2, 10), 0.75, np.float32))


def test_several_stems_are_taken_off_in_their_order() -> None:
    """Which decides the last bit: (1 - 2^-24) - 2^-24 is below 1, and 1 - 2^-25 rounds to 1."""
    blocks = [[np.full((2, n), value, np.float32) for n in (3, 4)] for value in (1, 0.3, 0.1)]
    mix, first, second = blocks
    for _ in range(2):  # peaks and files: a stem is iterated twice
        found = list(MixMinus(mix, [first, second]))
        assert [block.shape for block in found] == [(2, 3), (2, 4)]
        np.testing.assert_array_equal(found[0], mix[0] - first[0] - second[0])
    assert (found[0] != mix[0] - (first[0] + second[0])).any()


def deliver_verified(proxy: Proxy, bucket: str, rate: float) -> str:
    program = (
        "import sys, numpy as np\n"
        "from separation.audio.stem_files import write_stems\n"
        "from separation.options import Options\n"
        "from tests.stores import STORE\n"
        "stems = {'bass': [np.ones((2, 100), np.float32) / 2]}\n"
        "try:\n"
        "    share = float(sys.argv[2])\n"
        "    files, _ = write_stems(\n"
        "        stems, 'a.wav', 100, Options(), sys.argv[1], STORE, share, sample_rate=44100)\n"
        "    print(files[0].sha256)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    return proxy.run(program, bucket, rate).communicate()[0].strip()


async def rotten(exchange: Exchange) -> web.StreamResponse:
    """Returns other bytes than were stored, with matching ETag and length: a fault of the store itself."""
    answer = await exchange.ask()
    answer.body = bytes(len(answer.body))
    etag = hashlib.md5(answer.body).hexdigest()
    kept = {name: value for name, value in answer.headers.items() if "checksum" not in name.lower()}
    answer.headers = {name: value for name, value in kept.items() if name.lower() != "etag"}
    answer.headers["ETag"] = f'"{etag}"'
    return await exchange.send(answer)


def test_what_reads_back_otherwise_is_written_again_and_given_up_the_second_time(
    proxy: Proxy, bucket: str
) -> None:
    proxy.faults = {"GET": [rotten]}
    sha256 = deliver_verified(proxy, bucket, 1)
    assert sha256 == hashlib.sha256(STORE.read_bytes(f"{bucket}/a.wav/bass.wav")).hexdigest()
    assert [request.split()[0] for request in proxy.seen] == ["PUT", "GET", "PUT", "GET"]
    proxy.always = {"GET": rotten}
    assert f"StorageError {bucket}/a.wav/bass.wav: written twice" in deliver_verified(proxy, bucket, 1)
    proxy.seen.clear()
    assert deliver_verified(proxy, bucket, 0) == sha256
    assert [request.split()[0] for request in proxy.seen] == ["PUT"]


def test_the_share_of_files_read_back_is_the_rate_and_always_the_same() -> None:
    uris = [f"s3://bucket/stems/{number}/bass.wav" for number in range(2_000)]
    drawn = [uri for uri in uris if is_read_back(uri, 0.1)]
    assert 150 < len(drawn) < 250
    assert set(drawn) <= {uri for uri in uris if is_read_back(uri, 0.3)}
    assert not any(is_read_back(uri, 0) for uri in uris)
    assert all(is_read_back(uri, 1) for uri in uris)


def test_a_name_that_is_not_utf8_is_drawn_like_any_other() -> None:
    uri = os.fsdecode(b"out/\xff.mp3/drums.wav")
    assert is_read_back(uri, 1)
    assert not is_read_back(uri, 0)
