import io

import pytest

from separation.audio.headers.matroska import refuse_truncated
from separation.errors import ErrorKind, TrackError
from tests.corpus.case import RATE, music
from tests.corpus.matroska import CLUSTER, SEGMENT, laced_alac
from tests.sounds import muxed, read

UNKNOWN = b"\x01" + b"\xff" * 7
FILE = muxed(music(), RATE, "matroska", "flac")


def streamed(data: bytes, *names: bytes) -> bytes:
    """The file with unknown sizes in the elements called `names`, as a live stream has them."""
    for name in names:
        begin = 0
        while (begin := data.find(name, begin) + len(name)) >= len(name):
            data = data[:begin] + UNKNOWN + data[begin + 8 :]
    return data


def failure(data: bytes) -> TrackError:
    with pytest.raises(TrackError) as caught:
        refuse_truncated(io.BytesIO(data), "song")
    assert caught.value.kind == ErrorKind.TRUNCATED
    return caught.value


@pytest.mark.parametrize("cut", [1, 100, 5_000])
def test_a_segment_tells_where_the_file_should_end(cut: int) -> None:
    refuse_truncated(io.BytesIO(FILE), "song")
    refuse_truncated(io.BytesIO(FILE + b"what follows"), "song")
    expected = f"its segment ends at byte {len(FILE)}; the object has {len(FILE) - cut}"
    assert failure(FILE[:-cut]).reason == expected


@pytest.mark.parametrize(
    ("unknown", "name"), [((SEGMENT,), "cluster"), ((SEGMENT, CLUSTER), "element")], ids=["segment", "both"]
)
def test_a_stream_of_unknown_size_ends_with_a_whole_element(unknown: tuple[bytes, ...], name: str) -> None:
    data = streamed(laced_alac(music(), RATE), *unknown)
    refuse_truncated(io.BytesIO(data), "song")
    assert read(data).shape == read(laced_alac(music(), RATE)).shape
    assert failure(data[:-9]).reason == f"its {name} ends at byte {len(data)}; the object has {len(data) - 9}"


@pytest.mark.parametrize("data", [b"", b"\x1a", FILE[:4], FILE[:5] + bytes(99), b"RIFF" + bytes(99)])
def test_what_is_no_such_file_is_left_to_the_decoder(data: bytes) -> None:
    refuse_truncated(io.BytesIO(data), "song")
