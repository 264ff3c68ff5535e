"""The report of 200 tracks with hostile names, opened in Chromium as anyone would open it.

Without Chromium these fail: what is left out is for the Makefile to say.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from jobs.report import formatting
from jobs.report.facts import gather
from jobs.report.page.render import render
from jobs.report.page.track_rows import TrackRows
from tests.outputs import HOSTILE, Row, finished_rows, write_tables
from tests.stores import STORE

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Promises, since the page's policy forbids the eval by which Playwright polls. Both end by themselves.
LOADED = """Promise.all([...document.querySelectorAll('audio')].map(audio => new Promise((done, failed) => {
    audio.addEventListener('loadeddata', done);
    audio.addEventListener('error', () => failed(audio.error));
    setTimeout(() => failed(Error('an audio did not load')), 30_000);
    if (audio.readyState >= 2) done();
}))).then(() => null)"""
PLAYED = """new Promise((done, failed) => {
    const audio = document.querySelector('audio');
    audio.muted = true;
    audio.addEventListener('timeupdate', () => { if (audio.currentTime > 0.1) done(null) });
    audio.play().catch(failed);
    setTimeout(() => failed(Error('an audio did not play')), 30_000);
})"""
DESK, PHONE = (1280, 900), (390, 844)  # CSS pixels


@dataclass
class Opened:
    """A page, and what it did that a report must not."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail(f"no Chromium: set CHROMIUM, or have one of {', '.join(NAMES)} on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def html(full_report: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(full_report)
    return file


@pytest.fixture(scope="module")
def tracks() -> list[Row]:
    return finished_rows(200)


@pytest.fixture(scope="module")
def interactive(tracks: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page with a table of these tracks, without sounds."""
    folder = tmp_path_factory.mktemp("interactive")
    write_tables(folder, "r1", tracks)
    rows = TrackRows()
    facts = gather(str(folder), STORE, also=[rows.add])
    file = folder / "report.html"
    file.write_text(render(facts, [], str(folder), rows))
    return file


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A web server's address, and the paths that somebody asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    contexts = []

    def open_page(file: Path, size: tuple[int, int] = DESK, scheme: str = "light") -> Opened:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda message: opened.messages.append(message.text))
        opened.page.on("pageerror", lambda error: opened.messages.append(str(error)))
        opened.page.on("dialog", lambda dialog: (opened.dialogs.append(dialog.message), dialog.dismiss()))
        opened.page.goto(file.as_uri())
        opened.page.evaluate(LOADED)
        return opened

    yield open_page
    for context in contexts:
        context.close()


def test_no_name_does_anything(open_page: Open, html: Path) -> None:
    opened = open_page(html)
    assert opened.page.title() == "stemfleet report"
    assert opened.page.evaluate("document.scripts.length") == 0
    assert opened.page.evaluate("document.images.length") == 0
    links = opened.page.evaluate("[...document.links].map(link => link.href)")
    here = html.parent.as_uri()
    stems = {link for link in links if link.startswith(f"{here}/stems/")}
    assert len(stems) == 4 * 4
    assert set(links) == {f"{html.as_uri()}#errors", f"{here}/errors.csv", *stems}
    assert [url for url in opened.requests if not url.startswith("data:audio/mpeg")] == [html.as_uri()]
    assert opened.messages == []  # a script or style that the policy stops would be one
    assert opened.dialogs == []


def test_no_name_does_anything_in_a_table_that_is_sorted_and_searched(
    open_page: Open, interactive: Path
) -> None:
    """All 200 tracks are shown once, under every order."""
    opened = open_page(interactive)
    page = opened.page
    shown = set()
    for head in range(page.locator("#tracks-head button").count()):
        page.locator("#tracks-head button").nth(head).click()
        while True:
            shown |= set(page.locator("#tracks-body td:first-child").all_text_contents())
            if page.locator("#tracks-after").is_disabled():
                break
            page.click("#tracks-after")
    assert {formatting.safe_text(name, 300) for name in HOSTILE} <= shown
    assert len(shown) == 200
    page.fill("#tracks-search", HOSTILE[1])
    assert page.title() == "stemfleet report"
    assert page.evaluate("document.scripts.length") == 2
    assert page.evaluate("document.images.length") == 0
    assert page.evaluate("document.querySelectorAll('#tracks-body :not(tr, td, bdi)').length") == 0
    assert opened.requests == [interactive.as_uri()]
    assert (opened.messages, opened.dialogs) == ([], [])


def test_tracks_are_sorted_searched_and_filtered(
    open_page: Open, interactive: Path, tracks: list[Row]
) -> None:
    page = open_page(interactive).page
    bad = [row for row in tracks if row["status"] != "ok"]

    def column(name: str) -> list[str]:
        found: list[str] = page.locator(f"#tracks-body td[data-label={name}]").all_text_contents()
        return found

    def count() -> str | None:
        return page.locator("#tracks-count").text_content()

    assert count() == "1 to 50 of 200 tracks"
    page.click("#tracks-after")
    assert count() == "51 to 100 of 200 tracks"
    page.click("#tracks-head button:text-is('chunks')")
    page.click("#tracks-head button:text-is('chunks')")
    chunks = [int(text) for text in column("chunks")]
    assert chunks == sorted((row["chunks"] for row in tracks if "chunks" in row), reverse=True)[:50]
    assert page.locator("#tracks-head th[aria-sort=descending]").text_content() == "chunks"
    page.fill("#tracks-search", "SONG 1 album 000/02")
    assert column("track") == ["album 000/02 song 1.flac"]
    page.fill("#tracks-search", "no such track")
    assert (count(), column("track")) == ("no track", [])
    page.fill("#tracks-search", "")
    page.select_option("#tracks-state", label="in error")
    assert count() == f"1 to {len(bad)} of {len(bad)} tracks"
    assert "ok" not in column("state")
    page.select_option("#tracks-state", label="truncated")
    assert set(column("state")) == {"truncated"}
    page.select_option("#tracks-state", label="done with warnings")
    assert count() == "no track"


def test_the_policy_keeps_the_script_from_making_markup(open_page: Open, interactive: Path) -> None:
    page = open_page(interactive).page
    attempt = "() => { try { document.body.innerHTML = '<b>x'; return 'made' } catch { return 'refused' } }"
    assert page.evaluate(attempt) == "refused"


@pytest.mark.parametrize("policy", [True, False])
def test_the_policy_would_stop_what_escaping_let_through(
    open_page: Open, html: Path, tmp_path: Path, listener: tuple[str, list[str]], policy: bool
) -> None:
    """Without the policy the same attack succeeds: what is tested here can be seen here."""
    address, asked = listener
    attack = (
        "<script>document.title = 'script'</script><b id=b onclick=\"document.title += ' click'\">click</b>"
        f"<img src={address}/image><link rel=stylesheet href={address}/style>"
    )
    source = html.read_text().replace("<main>", f"<main>{attack}")
    file = tmp_path / "attacked.html"
    file.write_text(source if policy else source.replace("Content-Security-Policy", "nothing"))
    opened = open_page(file)
    opened.page.click("#b")
    assert opened.page.title() == ("stemfleet report" if policy else "script click")
    assert set(asked) == (set() if policy else {"/image", "/style"})


def test_the_players_play(open_page: Open, html: Path) -> None:
    page = open_page(html).page
    durations = page.evaluate("[...document.querySelectorAll('audio')].map(a => a.duration)")
    assert len(durations) == 4 * 5
    assert durations == pytest.approx([10.0] * 20, abs=0.1)
    page.evaluate(PLAYED)
    assert page.evaluate("document.querySelector('audio').error") is None


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_the_plots_are_seen_and_nothing_sticks_out(
    open_page: Open, html: Path, size: tuple[int, int]
) -> None:
    page = open_page(html, size).page
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
    for chart, count, width in (
        (".throughput:not(.ticks)", 1, 0.8),
        (".stages .bar", 1, 0.8),
        (".graph .bar", 4, 0.1),
        (".waveform", 20, 0.4),
    ):
        boxes = page.evaluate(
            f"[...document.querySelectorAll('{chart}')].map(e => e.getBoundingClientRect())"
        )
        assert len(boxes) == count
        assert all(box["width"] > width * min(size[0], 1040) and box["height"] > 10 for box in boxes), chart
    bars = page.evaluate("[...document.querySelectorAll('.rate')].map(e => e.getBoundingClientRect().height)")
    assert max(bars) > 100
    assert min(bars) < max(bars) * 0.8
    paths = page.evaluate("[...document.querySelectorAll('.waveform path')].map(e => e.getBBox().height)")
    assert max(paths) > 80


def test_dark_is_dark(open_page: Open, html: Path) -> None:
    paint = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    light = open_page(html).page.evaluate(paint)
    dark = open_page(html, scheme="dark").page.evaluate(paint)
    brightness = [[sum(map(int, colour[4:-1].split(","))) for colour in colours] for colours in (light, dark)]
    assert brightness[0][0] > 700 > 150 > brightness[0][1]
    assert brightness[1][0] < 150 < 600 < brightness[1][1]
