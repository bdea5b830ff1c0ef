"""The site: built without a warning, whole, and without anything from other hosts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from helpers.pages import DOCS, ROOT
from shipgen.cli import COMMANDS

if TYPE_CHECKING:
    from pathlib import Path


class _Page(HTMLParser):
    """What a page links to, loads, and can be linked at."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors.update(found[name] for name in ("id", "name") if name in found)
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        elif tag in {"img", "script", "link", "source", "iframe"}:
            self.loaded.update(found[name] for name in ("href", "src") if name in found)


# Ten seconds of CPU, but on a machine that does much else.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by the command that the README and conf.py say."""
    command = "sphinx-build -W docs site"
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
    assert command in (DOCS / "conf.py").read_text(encoding="utf-8")
    folder = tmp_path_factory.mktemp("documentation") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", "--keep-going", DOCS, folder],
        capture_output=True,
        text=True,
        check=False,
        # What other packages say of one another is not of this site.
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    found = {}
    for path in site.rglob("*.html"):
        if "_static" not in path.parts:
            found[path] = _Page()
            found[path].feed(path.read_text(encoding="utf-8"))
    return found


def test_each_page_of_the_documentation_is_one_of_the_site(site: Path, pages: dict[Path, _Page]) -> None:
    sources = [path for path in DOCS.rglob("*") if path.suffix in {".md", ".ipynb"}]
    assert len(sources) > 20
    assert {site / path.relative_to(DOCS).with_suffix(".html") for path in sources} <= pages.keys()


def test_no_link_of_the_site_is_dead(pages: dict[Path, _Page]) -> None:
    dead = []
    for path, page in pages.items():
        for link in page.links | page.loaded:
            if re.match(r"(https?|mailto|data):", link):
                continue
            name, _, anchor = unquote(link).partition("#")
            there = (path.parent / name.partition("?")[0]).resolve() if name else path
            if not there.exists() or (anchor and there in pages and anchor not in pages[there].anchors):
                dead.append((path.name, link))
    assert dead == []


def test_nothing_comes_from_another_host(site: Path, pages: dict[Path, _Page]) -> None:
    for path, page in pages.items():
        assert [what for what in page.loaded if "//" in what] == [], path
    for path in [*site.rglob("*.css"), *site.rglob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\(['\"]?(https?:)?//|fonts\.g", text), path


def test_commands_and_names_are_on_it(site: Path) -> None:
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f'id="shipgen-{name}"' in commands
    python = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in ("shipgen.MuonGenerator.pot", "shipgen.Batch.in_frame", "shipgen.errors.BundleError"):
        assert f'id="{name}"' in python
