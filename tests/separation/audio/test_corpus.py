"""Every file of the corpus has its expected outcome when decoded in a decoder process."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from separation.audio.decoder_process.decoding import open_decoding
from separation.audio.decoder_process.pool import DecoderPool
from separation.audio.limits import DEFAULTS
from separation.errors import TrackError
from separation.level import LevelMeter, warnings
from tests.corpus.case import Case
from tests.corpus.cases import cases
from tests.sounds import RATE

CASES = cases()


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    with DecoderPool() as pool:
        yield pool


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 100
    assert sum(case.kind is not None for case in CASES) >= 50


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_becomes_what_it_should(case: Case, tmp_path: Path, pool: DecoderPool) -> None:
    path = tmp_path / "track"
    path.write_bytes(case.data)
    meter = LevelMeter()
    try:
        with path.open("rb") as file, open_decoding(file, case.name, pool, DEFAULTS, RATE) as decoding:
            for block in decoding.blocks():
                assert np.isfinite(block).all()
                meter.add(block)
            found = [*decoding.warnings, *warnings(meter.level())]
    except TrackError as error:
        assert error.kind == case.kind, error
        assert str(error).isprintable()
        assert len(error.reason) > 10
        assert "0x" not in error.reason
        return
    assert case.kind is None, found
    assert meter.samples / RATE == pytest.approx(case.seconds, abs=0.12)
    assert tuple(warning.partition(":")[0] for warning in found) == case.warnings, found
