"""Over two hundred files like those of music catalogues, intact and damaged, each with its expected outcome.

Generated here from seeds: encoded by libsndfile and ffmpeg, then damaged. An outcome is a kind of error, or
the duration of the decoded track and the kinds of its warnings.
"""

from tests.corpus import broken, whole
from tests.corpus.case import Case


def cases() -> list[Case]:
    found = [
        *whole.intact(),
        *whole.rates_and_channels(),
        *whole.tags(),
        *whole.unusual(),
        *whole.two_truths(),
        *whole.bitstreams(),
        *whole.late(),
        *whole.one_bit(),
        *broken.cut(),
        *broken.damaged(),
        *broken.not_audio(),
        *broken.encrypted(),
        *broken.bombs(),
    ]
    assert len({case.name for case in found}) == len(found)
    return found
