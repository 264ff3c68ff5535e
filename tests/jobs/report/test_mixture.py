from typing import Any

import pytest

from jobs.report.mixture import stems_of_mix
from separation.settings import Settings
from tests.bags import FOUR_STEMS

SIX = (*FOUR_STEMS, "guitar", "piano")
REST = {"vocals": "0" * 64, "instrumental": "mix - vocals"}


def settings(*stems: str, rests: dict[str, str] | None = None, **options: Any) -> Settings:
    return Settings(models=dict.fromkeys(stems, "0" * 64) | (rests or {}), options=options)


@pytest.mark.parametrize(
    ("made_with", "stems", "mix"),
    [
        (settings(*FOUR_STEMS), FOUR_STEMS, FOUR_STEMS),
        (settings(*SIX), SIX, SIX),
        (settings("voice", "rest"), ("rest", "voice"), ("rest", "voice")),
        (settings(*SIX), FOUR_STEMS, ()),  # the others are not in the tables
        (settings(*FOUR_STEMS), FOUR_STEMS[1:], ()),
        (settings(*FOUR_STEMS, stems=list(FOUR_STEMS)), FOUR_STEMS, ()),  # of a bag that may have more
        (settings("vocals"), ("vocals",), ()),  # a bag of one stem
        (settings("vocals", two_stems="vocals"), ("vocals", "no_vocals"), ("vocals", "no_vocals")),
        (settings("vocals", two_stems="vocals"), ("no_vocals",), ()),
        (settings(rests=REST), ("vocals", "instrumental"), ("vocals", "instrumental")),
        (settings(*FOUR_STEMS, rests=REST), (*FOUR_STEMS, "instrumental"), ("vocals", "instrumental")),
        (settings(*FOUR_STEMS, rests=REST), FOUR_STEMS, FOUR_STEMS),
        (settings(rests=REST, stems=["instrumental"]), ("instrumental",), ()),
        (settings("drums", "bass", rests={"rest": "mix - drums - bass"}), ("drums", "rest"), ()),
        (settings(), FOUR_STEMS, FOUR_STEMS),  # a record that says nothing
        (None, FOUR_STEMS, FOUR_STEMS),
        (None, SIX, ()),
        (None, ("vocals", "no_vocals"), ("vocals", "no_vocals")),
        (None, (), ()),
    ],
)
def test_which_stems_make_the_mix(
    made_with: Settings | None, stems: tuple[str, ...], mix: tuple[str, ...]
) -> None:
    assert stems_of_mix(made_with, stems) == mix
