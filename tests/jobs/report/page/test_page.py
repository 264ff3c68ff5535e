"""The page as an HTML parser sees it; `tests/integration/test_report_browser.py` opens it in a browser."""

import base64
import hashlib
import io
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from jobs.report import formatting
from jobs.report import run as report
from jobs.report.page import colours
from jobs.report.page.colours import EXTRA
from jobs.report.tally import SAMPLES
from tests.outputs import HOSTILE, Row, finished_rows, write_record, write_stems, write_tables
from tests.sounds import RATE
from tests.stores import STORE

Full = tuple[Path, list[Row]]
VOID = {"meta", "br", "img", "link", "input", "hr"}
ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "header",
        "section",
        "article",
        "div",
        "span",
    ),
    *(
        "h1",
        "h2",
        "h3",
        "p",
        "small",
        "bdi",
        "code",
        "figure",
        "figcaption",
        "details",
        "summary",
        "ul",
        "li",
    ),
    *("table", "thead", "tbody", "tr", "th", "td", "dl", "dt", "dd", "audio", "a"),
    *("svg", "g", "rect", "line", "path", "text"),
}


@dataclass
class Page(HTMLParser):
    """Elements with their attributes, texts by element, and what is out of place."""

    source: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()
        self.wrong += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str, kind: str | None = None) -> list[dict[str, str | None]]:
        return [a for name, a in self.elements if name == tag and kind in (None, a.get("class"))]

    def text(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture(scope="module")
def page(full_report: str) -> Page:
    return Page(full_report)


def test_hostile_names_are_text_and_nothing_else(page: Page, full_output: Full) -> None:
    assert page.wrong == []
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    shown = set(page.text("bdi"))
    bad = [row["track_id"] for row in full_output[1] if row["status"] != "ok"]
    assert formatting.safe_text(bad[0]) in shown
    assert formatting.safe_text(HOSTILE[6]) in shown
    assert page.text("title")[0] == "stemfleet report"
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069]", page.source)


def test_every_hostile_name_can_be_shown_anywhere(tmp_path: Path) -> None:
    """As a slow track, as an error with such a sentence, as run, node, device, stem and output."""
    folder = tmp_path / "<b>out\n"
    for number, name in enumerate(HOSTILE):
        row = next(row for row in finished_rows(20) if row["status"] == "ok")
        stems = [
            stem | {"stem": name, "graph": name, "device": name, "provider": name, "node": name}
            for stem in row["stems"]
        ]
        error = {"status": "error", "error_kind": name, "error": name, "track_id": name + "!"}
        write_tables(folder, f"{number}", [row | {"track_id": name, "stems": stems[:1]}, row | error])
        warned = row | {"track_id": name + "?", "warnings": [name, f"{name}: {name}"], "stems": stems[:1]}
        write_tables(folder, f"{number}?", [warned])
    said = {"weights": HOSTILE[0], "terms": HOSTILE[1], "said_at": HOSTILE[6]}
    write_record(folder, run_id=HOSTILE[0], versions={HOSTILE[0]: HOSTILE[6]}, licences={HOSTILE[8]: said})
    record = json.loads((folder / "run.json").read_text())
    record |= {"run_id": "0", "arguments": dict.fromkeys(("input", "models", *HOSTILE), HOSTILE[1])}
    (folder / "run.json").write_text(json.dumps(record))
    found = Page(report.report(str(folder), "html", STORE))
    assert found.wrong == []
    assert {tag for tag, _ in found.elements} <= ELEMENTS
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert {formatting.safe_text(name) for name in HOSTILE} <= set(found.text("bdi"))


def test_the_page_needs_nothing_else(page: Page) -> None:
    links = [
        (name, value)
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in ("src", "href", "xlink:href", "srcset", "action", "poster", "style", "srcdoc")
    ]
    clips = [value for name, value in links if name == "src" and value is not None]
    assert clips
    assert all(value.startswith("data:audio/mpeg;base64,") for value in clips)
    elsewhere = {(name, str(value)) for name, value in links if name != "src"}
    stems = {value for _, value in elsewhere if re.fullmatch(r"stems/\w+/\w+\.(wav|ogg|mp3|flac)", value)}
    assert len(stems) == 4 * 4
    assert elsewhere == {("href", each) for each in ("#errors", "errors.csv", *stems)}
    (style,) = page.text("style")
    assert not re.search(r"url\(|@import", style)
    policies = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    allowed = f"style-src 'sha256-{digest}'; media-src data:"
    assert policies == [f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"]


def test_the_plots_are_there(page: Page) -> None:
    assert len(page.all("rect", "rate")) > 30
    assert page.all("rect", "failed")
    assert len(page.all("svg", "bar")) == 1 + 4
    assert len(page.all("svg", "waveform")) == 4 * 5
    coloured = Counter(str(a.get("class")) for a in page.all("rect"))
    for stem in ("drums", "bass", "other", "vocals"):
        assert coloured[f"c-{stem}"] >= 3  # where the time went, its key, the graph
    heights = [float(str(a["height"]).rstrip("%")) for a in page.all("rect", "rate")]
    assert 40 < max(heights) <= 100
    strip = [float(str(a["height"]).rstrip("%")) for a in page.all("rect", "failed")]
    assert max(strip) == 100
    assert any(re.fullmatch(r"\d\d:\d\d", text) for text in page.text("text"))  # of the day
    assert any(re.fullmatch(r"\d:\d\d", text) for text in page.text("text"))  # in a track
    assert "11-20" in page.text("text")
    road = [float(str(a["width"]).rstrip("%")) for a in page.all("rect") if str(a["class"]).startswith("c-")]
    assert sum(road[:9]) == pytest.approx(100, abs=0.1)


def test_the_players_hold_music(page: Page) -> None:
    players = page.all("audio")
    assert len(players) == 4 * 5
    assert all("controls" in player and "autoplay" not in player for player in players)
    for player in players:
        samples, rate = soundfile.read(
            io.BytesIO(base64.b64decode(str(player["src"]).partition(",")[2], validate=True))
        )
        assert len(samples) / rate == pytest.approx(10, abs=0.1)
    assert samples.std() > 1e-3


def test_errors_come_second(page: Page) -> None:
    sections = [str(a["id"]) for a in page.all("section")]
    assert sections[:2] == ["summary", "errors"]


def test_the_figures_are_on_the_page(page: Page) -> None:
    figures = [text for tag, text in page.texts if tag == "p"]
    assert {"178", "22"} <= set(figures)
    assert "tracks done of 200" in figures
    assert any(re.match(r"\$\d", text) for text in figures)
    assert sum("open" in a for a in page.all("details")) == 3
    assert len(page.all("details")) == 4


@pytest.mark.parametrize(
    ("stems", "graphs"),
    [
        (("drums", "bass", "other", "vocals", "guitar", "piano"), ["htdemucs_6s"]),
        (("speech", "steps"), ["speech", "steps"]),
        (tuple(f"stem_{n}" for n in range(9)), ["one"]),
        (("probe", "mix", "waiting"), ["decode"]),  # as parts of the charts are called
    ],
)
def test_any_stems_of_any_graphs(tmp_path: Path, stems: tuple[str, ...], graphs: list[str]) -> None:
    of = {stem: graphs[at % len(graphs)] for at, stem in enumerate(stems)}
    rows = [row for row in finished_rows(9, stems=stems, graphs=of) if row["status"] == "ok"]
    tones = np.random.default_rng(0).uniform(-0.1, 0.1, (len(stems), 2, RATE)).astype(np.float32)
    voices = dict(zip(stems, tones, strict=True))
    rows = [
        write_stems(tmp_path / f"stems/{at}", row, voices | {"mix": voices.get("mix", tones[0])})
        for at, row in enumerate(rows)
    ]
    write_tables(tmp_path, "r1", rows)
    write_record(tmp_path, settings={"models": dict.fromkeys(stems, "0" * 64), "options": {}})
    found = Page(report.report(str(tmp_path), "html", STORE))
    assert found.wrong == []
    assert len(found.all("audio")) == SAMPLES * (1 + len(stems))
    names = [*found.text("p"), *found.text("a")]  # of those that can be reached the name is a link
    assert all(names.count(stem) == SAMPLES * (2 if stem == "mix" else 1) for stem in stems)
    assert [text for text in found.text("h3") if text in graphs] == graphs
    classes = {str(a["class"]) for a in found.all("path")}
    assert len(classes) == min(1 + len(stems), 1 + EXTRA) or "mix" in stems
    style = Path(colours.__file__).with_name("page.css").read_text()
    assert all(f".{each} {{" in style for each in classes)
    bars = [a for a in found.all("rect") if str(a.get("class")).startswith("c-")]
    assert sum(float(str(a["width"]).rstrip("%")) for a in bars[: 5 + len(graphs)]) == pytest.approx(
        100, abs=0.1
    )
    text = report.report(str(tmp_path), "md", STORE)
    for graph in graphs:
        assert f"graph {graph}" in found.text("td")  # where the time went
        assert f"| graph {graph} |".replace("_", r"\_") in text


def test_a_licence_is_shown(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", finished_rows(3))
    said = {"weights": "scientific purposes only", "terms": "MIT code", "said_at": "https://example.org/327"}
    write_record(tmp_path, licences={"drums": said, "bass": {"weights": "not stated"}})
    cells = Page(report.report(str(tmp_path), "html", STORE)).text("td")
    assert [cells.index(text) for text in said.values()] == sorted(
        cells.index(text) for text in said.values()
    )
    assert "not stated" in cells
    assert "scientific purposes only" in report.report(str(tmp_path), "md", STORE)


def test_a_run_without_tracks_yet(tmp_path: Path) -> None:
    write_record(tmp_path, run_id="20261120T093000-abc")
    source = report.report(str(tmp_path), "html", STORE)
    found = Page(source)
    assert found.wrong == []
    assert "Nothing is finished yet" in found.text("h2")
    assert "20261120T093000-abc" in source


@pytest.mark.parametrize("tracks", [1, 2, 5])
def test_a_run_that_has_just_begun(tmp_path: Path, tracks: int) -> None:
    rows = finished_rows(tracks)
    write_tables(tmp_path, "r1", rows)
    found = Page(report.report(str(tmp_path), "html", STORE))
    assert found.wrong == []
    assert any("no price is known" in text for text in found.text("p"))
    assert any("vocals: not at the output" in text for text in found.text("p"))


def test_only_errors(tmp_path: Path) -> None:
    write_tables(tmp_path, "r1", [row for row in finished_rows(60) if row["status"] != "ok"])
    found = Page(report.report(str(tmp_path), "html", STORE))
    assert found.wrong == []
    assert "No track is done yet." in found.text("p")


def test_one_track_that_took_no_time(tmp_path: Path) -> None:
    row = finished_rows(1)[0]
    write_tables(tmp_path, "r1", [row | {"started_at": row["finished_at"]}])
    assert Page(report.report(str(tmp_path), "html", STORE)).wrong == []
