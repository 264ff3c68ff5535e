from pathlib import Path

import numpy as np
import pytest
import soundfile

from separation.deliver import Complement, deliver
from separation.options import Options

LOUD = np.array([[2.0, -0.5], [0.0, 1.0]], np.float32)


def write(folder: Path, options: Options) -> tuple[dict[str, np.ndarray], float]:
    stems = {"drums": [LOUD], "bass": [LOUD / 4]}
    files, factor = deliver(stems, "a.wav", 2, options, str(folder))
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
        deliver({"drums": Broken()}, "a.wav", 4, Options(), str(tmp_path))
    assert not list(tmp_path.rglob("*"))


def test_stem_and_complement_add_up_to_the_mix() -> None:
    mix = np.ones((2, 10), np.float32)
    (rest,) = Complement([mix], [mix * 0.25])
    np.testing.assert_array_equal(rest, np.full((2, 10), 0.75, np.float32))
