"""The colours of page.css, which every class of `colours` has."""

import re
from pathlib import Path

from jobs.report.page import colours
from jobs.report.page.colours import EXTRA, MIX, WAITING
from jobs.report.tally import STAGES

SOUNDS = ("drums", "bass", "other", "vocals", "guitar", "piano", MIX, *(f"extra-{n}" for n in range(EXTRA)))
PARTS = (*STAGES, WAITING)


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance of #rrggbb, 0 to 1."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_colour_is_seen_on_both_papers() -> None:
    """A contrast of 3 to 1, which WCAG asks of graphics, for stems and graphs; no two have one colour."""
    style = Path(colours.__file__).with_name("page.css").read_text()
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", scheme))
        shown = [found[name] for name in SOUNDS]
        assert len(set(shown)) == len(shown)
        for name, colour in zip(SOUNDS, shown, strict=True):
            light, dark = sorted(map(luminance, (colour, found["card"])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3, (name, colour)
    for name in (*SOUNDS, *PARTS):
        assert f".c-{name} {{ fill: var(--{name}); }}" in style


def test_known_stems_keep_their_colours_and_others_take_turns() -> None:
    names = ["vocals", *(f"n{number}" for number in range(EXTRA + 1)), "n0"]
    found = colours.of_sounds(names)
    assert found["vocals"] == "c-vocals"
    assert [found[f"n{number}"] for number in range(EXTRA)] == [f"c-extra-{n}" for n in range(EXTRA)]
    assert found[f"n{EXTRA}"] == "c-extra-0"
