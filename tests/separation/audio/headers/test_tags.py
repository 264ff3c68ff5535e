import io

import numpy as np
import pytest

from separation.audio.headers.tags import tags_begin
from tests.corpus.case import ape_tag

AUDIO = np.random.default_rng(1).bytes(5_000)
ID3V1 = b"TAG" + "Caf\xe9".encode("latin-1").ljust(125, b"\0")
LYRICS = b"LYRICSBEGIN" + b"IND0000200" + b"000021LYRICS200"
ID3V2_BEHIND = b"3DI\4\0\x10\0\0\0\x14"
ID3V2 = b"ID3\4\0\x10\0\0\0\x14" + bytes(20) + ID3V2_BEHIND


@pytest.mark.parametrize(
    "tags",
    [b"", ID3V1, ape_tag(9_000), LYRICS, ID3V2, LYRICS + ID3V1, ape_tag(9) + LYRICS + ID3V1],
    ids=["none", "ID3v1", "APE", "Lyrics3", "ID3v2", "Lyrics3, ID3v1", "APE, Lyrics3, ID3v1"],
)
def test_tags_at_the_end_are_no_audio(tags: bytes) -> None:
    assert tags_begin(io.BytesIO(AUDIO + tags)) == len(AUDIO)
    assert tags_begin(io.BytesIO(tags)) == 0


@pytest.mark.parametrize(
    "tail",
    [b"TAG" + AUDIO[:125], b"APETAGEX" + b"\xff" * 24, b"999999LYRICS200", b"3DI\4\0\0\x7f\x7f\x7f\x7f"],
    ids=["TAG in audio", "an immense APE tag", "immense lyrics", "an immense ID3v2 tag"],
)
def test_what_only_ends_like_a_tag_is_left(tail: bytes) -> None:
    assert tags_begin(io.BytesIO(AUDIO + tail)) == len(AUDIO + tail)
