"""Links to stems: relative, to audio alone, and to no other place whatever the names are."""

from pathlib import Path
from urllib.parse import unquote, urljoin

import pytest

from jobs.report.page.links import link_to
from tests.outputs import HOSTILE


@pytest.mark.parametrize(
    ("stem", "page_folder", "link"),
    [
        ("s3://b/out/stems/a 1.wav/drums.wav", "s3://b/out", "stems/a%201.wav/drums.wav"),
        ("s3://b/out/stems/a/drums.flac", "s3://b/pages", None),
        ("s3://b/out/stems/a/drums.flac", "/pages", None),
        ("/out/stems/a/drums.mp3", "/out", "stems/a/drums.mp3"),
        ("/out/stems/a/drums.ogg", "/pages/new", "../../out/stems/a/drums.ogg"),
        ("file:///out/stems/a/drums.ogg", "/out", "stems/a/drums.ogg"),
        ("/out/stems/a/drums.html", "/out", None),
        ("", "/out", None),
    ],
)
def test_where_a_stem_is(stem: str, page_folder: str, link: str | None) -> None:
    assert link_to(stem, page_folder) == link


def test_a_relative_output_is_found_from_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert link_to("out/stems/a.wav/drums.wav", ".") == "out/stems/a.wav/drums.wav"


@pytest.mark.parametrize("name", [*HOSTILE, "javascript:alert(1)", "a?b#c", "%2e%2e/%2e%2e/x", "//host/x"])
@pytest.mark.parametrize("root", ["s3://b/out", "/out"])
def test_no_name_leads_elsewhere(root: str, name: str) -> None:
    link = link_to(f"{root}/stems/{name}/drums.wav", root)
    assert link is not None
    assert link.startswith("stems/")
    assert not set(link) & set(":?#\"<>' \n")
    joined = urljoin("https://here/out/report.html", link)
    assert joined.startswith("https://here/out/stems/")
    if "//" not in name:
        assert unquote(link) == f"stems/{name}/drums.wav"
