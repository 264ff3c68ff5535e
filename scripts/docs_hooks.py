"""Hooks of mkdocs.yml: pages that stand outside docs/, under the links that they have in the repository.

README is the first page of the site. A link from one page to another is written as GitHub reads it, relative
to the file that it stands in, and is turned here into what MkDocs expects. So `mkdocs build --strict` checks
the links of all these files.
"""

import posixpath
import re
from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {  # path in the repository -> path in the site
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "LICENSE": "LICENSE",
    "cluster/README.md": "cluster.md",
}
IN_REPOSITORY = {there: here for here, there in OUTSIDE.items()}
LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for path, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    at = page.file.src_uri
    folder = posixpath.dirname(IN_REPOSITORY.get(at, f"docs/{at}"))
    return LINK.sub(lambda link: site_link(link[0], folder, posixpath.dirname(at)), markdown)


def site_link(link: str, folder: str, page_folder: str) -> str:
    """`link` of a page that stands in `folder` of the repository and in `page_folder` of the site."""
    scheme, host, path, _, anchor = urlsplit(link)
    if scheme or host or not path:
        return link
    target = posixpath.normpath(posixpath.join(folder, path))
    there = OUTSIDE.get(target, posixpath.relpath(target, "docs"))
    return posixpath.relpath(there, page_folder or ".") + (f"#{anchor}" if anchor else "")
