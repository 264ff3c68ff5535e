import pytest

from separation.audio.decoders.declared import Declared
from separation.errors import ErrorKind, TrackError

RATE = 44_100
SAMPLES = 30 * RATE
ROUGH = Declared(SAMPLES, True, RATE, unit=64 * 1_152)  # Musepack SV8 counts packets of 64 frames
LATE = Declared(SAMPLES, True, RATE, lead=10 * RATE)


@pytest.mark.parametrize(
    ("declared", "samples"),
    [(ROUGH, SAMPLES + 70_000), (ROUGH, SAMPLES - 70_000), (LATE, SAMPLES), (LATE, SAMPLES - 10 * RATE)],
)
def test_a_length_within_what_the_header_can_say(declared: Declared, samples: int) -> None:
    assert declared.warnings(samples, "song") == []
    assert declared.is_reached_by(samples)


@pytest.mark.parametrize("declared", [ROUGH, LATE])
def test_a_length_beyond_what_the_header_can_say(declared: Declared) -> None:
    (warning,) = declared.warnings(SAMPLES + 3 * RATE, "song")
    assert warning == "length: the header declares 30.0 s; 33.0 s decoded"
    short = SAMPLES - 13 * RATE
    assert not declared.is_reached_by(short)
    with pytest.raises(TrackError) as caught:
        declared.warnings(short, "song")
    assert caught.value.kind == ErrorKind.TRUNCATED


def test_a_little_less_than_the_header_says_is_a_warning() -> None:
    counted = Declared(SAMPLES, True, RATE)
    assert counted.warnings(SAMPLES - RATE // 10, "song") == []
    (warning,) = counted.warnings(SAMPLES - RATE // 5, "song")
    assert warning == "length: the header declares 1323000 samples; 1314180 can be decoded"
    exact = Declared(SAMPLES, True, RATE, is_to_the_sample=True)
    assert exact.warnings(SAMPLES, "song") == []
    assert len(exact.warnings(SAMPLES - 1, "song")) == 1


@pytest.mark.parametrize("declared", [Declared(None, True, RATE), Declared(SAMPLES, False, RATE)])
def test_a_guess_declares_nothing(declared: Declared) -> None:
    assert declared.warnings(RATE, "song") == []
    assert not declared.is_reached_by(2 * SAMPLES)
