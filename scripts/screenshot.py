"""Takes the picture of a report that README shows: the top of its page, in Chromium.

make demo  --> python -m jobs.report --output demo  --> docs/report.png
"""

import argparse
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).resolve().parents[1] / "docs/report.png"
VIEW = {"width": 1200, "height": 1000}  # pixels of the page
CHROMIUM = "/usr/bin/chromium"


def take(page: Path, picture: Path, chromium: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        view = browser.new_page(viewport=VIEW, color_scheme="light")  # type: ignore[arg-type]
        view.goto(page.resolve().as_uri())
        view.screenshot(path=picture)
        browser.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path, help="the output folder of a job, with its report.html")
    parser.add_argument("--to", type=Path, default=PICTURE, help="the PNG (default: docs/report.png)")
    parser.add_argument("--chromium", default=CHROMIUM, help="default: %(default)s")
    args = parser.parse_args()
    take(args.output / "report.html", args.to, args.chromium)
    print(f"{args.to}: {args.to.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
